-- Overview.
-- The numbers of the period in one row, with those of the period before for comparison.
-- Messages are counted by the day that they were apportioned to, reports by the day that they begin on.
--
-- parameters:
--   days    days  30      how many days, up to `until`
--   until   date  newest  the last day; by default the newest in the data
--   domain  text  null    one policy domain; by default all
-- columns:
--   first_day               first day of the period with messages
--   last_day                last day of the period with messages
--   messages                messages that were reported
--   passed_messages         those that pass DMARC
--   pass_percent            their share
--   failed_messages         those that fail
--   quarantined_messages    messages that receivers quarantined
--   rejected_messages       messages that receivers rejected
--   apportioned_messages    messages of reports that cross a UTC day, shared over its days
--   previous_messages       messages of the same number of days before
--   previous_pass_percent   their share that passes
--   domains                 policy domains with messages
--   sources                 addresses that sent
--   reporters               organisations that reported
--   reports                 distinct reports
--   duplicates              copies of them that were dropped
--   conflicting_reports     reports that share their identity with another of other content
--   open_dead_letters       inputs that could not be read and wait for a person, of all time and domains
WITH period AS (
    SELECT
        min(date) AS first_day,
        max(date) AS last_day,
        coalesce(sum(messages), 0) AS messages,
        coalesce(sum(CASE WHEN dmarc_pass THEN messages ELSE 0 END), 0) AS passed_messages,
        coalesce(sum(CASE WHEN disposition = 'quarantine' THEN messages ELSE 0 END), 0) AS quarantined_messages,
        coalesce(sum(CASE WHEN disposition = 'reject' THEN messages ELSE 0 END), 0) AS rejected_messages,
        coalesce(sum(apportioned_messages), 0) AS apportioned_messages,
        count(DISTINCT policy_domain) AS domains
    FROM daily
    WHERE date > $until - $days AND date <= $until
      AND ($domain IS NULL OR policy_domain = lower($domain))
),
previous AS (
    SELECT
        coalesce(sum(messages), 0) AS messages,
        coalesce(sum(CASE WHEN dmarc_pass THEN messages ELSE 0 END), 0) AS passed_messages
    FROM daily
    WHERE date > $until - $days - $days AND date <= $until - $days
      AND ($domain IS NULL OR policy_domain = lower($domain))
),
senders AS (
    SELECT count(DISTINCT source_ip) AS sources
    FROM daily_sources
    WHERE date > $until - $days AND date <= $until
      AND ($domain IS NULL OR policy_domain = lower($domain))
),
organisations AS (
    SELECT count(DISTINCT org_name) AS reporters
    FROM daily_reporters
    WHERE date > $until - $days AND date <= $until
      AND ($domain IS NULL OR policy_domain = lower($domain))
),
documents AS (
    SELECT
        count(*) AS reports,
        coalesce(sum(copies - 1), 0) AS duplicates,
        coalesce(sum(CASE WHEN conflict THEN 1 ELSE 0 END), 0) AS conflicting_reports
    FROM reports
    WHERE date > $until - $days AND date <= $until
      AND ($domain IS NULL OR policy_domain = lower($domain))
),
letters AS (
    SELECT count(*) AS open_dead_letters FROM dead_letters WHERE state = 'open'
)
SELECT
    period.first_day,
    period.last_day,
    period.messages,
    period.passed_messages,
    round(100.0 * period.passed_messages / nullif(period.messages, 0), 2) AS pass_percent,
    period.messages - period.passed_messages AS failed_messages,
    period.quarantined_messages,
    period.rejected_messages,
    period.apportioned_messages,
    previous.messages AS previous_messages,
    round(100.0 * previous.passed_messages / nullif(previous.messages, 0), 2) AS previous_pass_percent,
    period.domains,
    senders.sources,
    organisations.reporters,
    documents.reports,
    documents.duplicates,
    documents.conflicting_reports,
    letters.open_dead_letters
FROM period
CROSS JOIN previous
CROSS JOIN senders
CROSS JOIN organisations
CROSS JOIN documents
CROSS JOIN letters
