-- Pass rate by day.
-- How many messages were reported for each day and which share of them passes DMARC, with a sign of days
-- that look low only because reports are still to come.
-- A reporter is usual for a day when it reported on at least half of the 14 days before that have
-- messages; it is missing as long as none of its reports reaches to the end of the day.
--
-- parameters:
--   days    days  30      how many days, up to `until`
--   until   date  newest  the last day; by default the newest in the data
--   domain  text  null    one policy domain; by default all
-- columns:
--   date                  the UTC day
--   messages              messages of the day, 0 when none were reported
--   passed_messages       those that pass DMARC
--   pass_percent          their share
--   failed_messages       those that fail
--   apportioned_messages  those that come from reports which cross a UTC day, shared over its days
--   reporters             organisations that reported messages of the day
--   usual_reporters       organisations that usually do
--   missing_reporters     those of them that have not reported all of the day yet
--   complete              whether there is none; a day that is not complete must not be read as a drop
WITH reporter_days AS (
    SELECT date, org_name, sum(messages) AS messages
    FROM daily_reporters
    WHERE date > $until - $days - INTERVAL '14 days' AND date <= $until
      AND ($domain IS NULL OR policy_domain = lower($domain))
    GROUP BY date, org_name
),
days AS (
    SELECT CAST(unnest(generate_series(first_day, $until, INTERVAL '1 day')) AS DATE) AS date
    FROM (
        SELECT greatest($until - $days + INTERVAL '1 day', min(date)) AS first_day
        FROM reporter_days
        HAVING count(*) > 0
    )
),
history AS (
    SELECT days.date, count(*) AS observed_days
    FROM days
    JOIN (SELECT DISTINCT date FROM reporter_days) AS past
      ON past.date < days.date AND past.date >= days.date - INTERVAL '14 days'
    GROUP BY days.date
),
usual AS (
    SELECT days.date, past.org_name, sum(past.messages) / history.observed_days AS messages_a_day
    FROM days
    JOIN reporter_days AS past ON past.date < days.date AND past.date >= days.date - INTERVAL '14 days'
    JOIN history ON history.date = days.date
    GROUP BY days.date, past.org_name, history.observed_days
    HAVING 2 * count(*) >= history.observed_days
),
reached AS (
    SELECT org_name, max(greatest(range_begin, range_end)) AS reached_at
    FROM reports
    WHERE date > $until - $days - INTERVAL '14 days' AND date <= $until
      AND ($domain IS NULL OR policy_domain = lower($domain))
    GROUP BY org_name
),
expected AS (
    SELECT
        usual.date,
        usual.org_name,
        usual.messages_a_day,
        reached.reached_at IS NULL
            OR reached.reached_at < CAST(usual.date AS TIMESTAMP) + INTERVAL '1 day' - INTERVAL '60 seconds' AS missing
    FROM usual
    LEFT JOIN reached ON reached.org_name = usual.org_name
),
completeness AS (
    SELECT
        date,
        count(*) AS usual_reporters,
        sum(CASE WHEN missing THEN 1 ELSE 0 END) AS missing_reporters,
        sum(CASE WHEN missing THEN messages_a_day ELSE 0 END) AS missing_messages,
        array_to_string(array_slice(
            array_agg(org_name ORDER BY messages_a_day DESC, org_name) FILTER (WHERE missing), 1, 5), ', ') AS missing_names
    FROM expected
    GROUP BY date
),
totals AS (
    SELECT
        date,
        sum(messages) AS messages,
        sum(CASE WHEN dmarc_pass THEN messages ELSE 0 END) AS passed_messages,
        sum(apportioned_messages) AS apportioned_messages
    FROM daily
    WHERE date > $until - $days AND date <= $until
      AND ($domain IS NULL OR policy_domain = lower($domain))
    GROUP BY date
),
seen AS (
    SELECT date, count(*) AS reporters FROM reporter_days GROUP BY date
)
SELECT
    days.date,
    coalesce(totals.messages, 0) AS messages,
    coalesce(totals.passed_messages, 0) AS passed_messages,
    round(100.0 * totals.passed_messages / nullif(totals.messages, 0), 2) AS pass_percent,
    coalesce(totals.messages - totals.passed_messages, 0) AS failed_messages,
    coalesce(totals.apportioned_messages, 0) AS apportioned_messages,
    coalesce(seen.reporters, 0) AS reporters,
    coalesce(completeness.usual_reporters, 0) AS usual_reporters,
    coalesce(completeness.missing_reporters, 0) AS missing_reporters,
    coalesce(completeness.missing_reporters, 0) = 0 AS complete
FROM days
LEFT JOIN totals ON totals.date = days.date
LEFT JOIN seen ON seen.date = days.date
LEFT JOIN completeness ON completeness.date = days.date
ORDER BY days.date
