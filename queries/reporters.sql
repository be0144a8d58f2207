-- Reporters.
-- The organisations that report, how far their reports reach, and how well they are made.
-- Messages are counted by the day that they were apportioned to, reports by the day that they begin on.
--
-- parameters:
--   days    days  30      how many days, up to `until`
--   until   date  newest  the last day; by default the newest in the data
--   domain  text  null    one policy domain; by default all
-- columns:
--   org_name             the organisation
--   messages             messages that it reported
--   passed_messages      those that pass DMARC
--   pass_percent         their share
--   domains              policy domains that it reported on
--   last_day             the last day with messages
--   reports              its distinct reports
--   reached_at           how far they reach: the latest end of an interval
--   repaired_reports     reports that had to be mended to be read
--   conflicting_reports  reports that share their identity with another of other content
--   duplicates           copies that were dropped
WITH totals AS (
    SELECT
        org_name,
        sum(messages) AS messages,
        sum(CASE WHEN dmarc_pass THEN messages ELSE 0 END) AS passed_messages,
        count(DISTINCT policy_domain) AS domains,
        max(date) AS last_day
    FROM daily_reporters
    WHERE date > $until - $days AND date <= $until
      AND ($domain IS NULL OR policy_domain = lower($domain))
    GROUP BY org_name
),
documents AS (
    SELECT
        org_name,
        count(*) AS reports,
        max(greatest(range_begin, range_end)) AS reached_at,
        sum(CASE WHEN cardinality(repairs) > 0 THEN 1 ELSE 0 END) AS repaired_reports,
        sum(CASE WHEN conflict THEN 1 ELSE 0 END) AS conflicting_reports,
        sum(copies - 1) AS duplicates
    FROM reports
    WHERE date > $until - $days AND date <= $until
      AND ($domain IS NULL OR policy_domain = lower($domain))
    GROUP BY org_name
)
SELECT
    coalesce(totals.org_name, documents.org_name) AS org_name,
    coalesce(totals.messages, 0) AS messages,
    coalesce(totals.passed_messages, 0) AS passed_messages,
    round(100.0 * totals.passed_messages / nullif(totals.messages, 0), 2) AS pass_percent,
    coalesce(totals.domains, 0) AS domains,
    totals.last_day,
    coalesce(documents.reports, 0) AS reports,
    documents.reached_at,
    coalesce(documents.repaired_reports, 0) AS repaired_reports,
    coalesce(documents.conflicting_reports, 0) AS conflicting_reports,
    coalesce(documents.duplicates, 0) AS duplicates
FROM totals
FULL JOIN documents ON documents.org_name = totals.org_name
ORDER BY messages DESC, org_name
