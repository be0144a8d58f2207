-- Domains.
-- How each policy domain fares: its volume, the share that passes, and the policy that it publishes.
--
-- parameters:
--   days    days  30      how many days, up to `until`
--   until   date  newest  the last day; by default the newest in the data
-- columns:
--   policy_domain          the domain
--   policy                 the policy (p) in the newest report of the period that gives one
--   messages               messages that were reported
--   passed_messages        those that pass DMARC
--   pass_percent           their share
--   dkim_aligned_messages  those with an aligned DKIM signature
--   spf_aligned_messages   those with an aligned SPF result
--   failed_messages        those that fail
--   reporters              organisations that reported
--   last_day               the last day with messages
WITH totals AS (
    SELECT
        policy_domain,
        sum(messages) AS messages,
        sum(CASE WHEN dmarc_pass THEN messages ELSE 0 END) AS passed_messages,
        sum(CASE WHEN dkim_aligned THEN messages ELSE 0 END) AS dkim_aligned_messages,
        sum(CASE WHEN spf_aligned THEN messages ELSE 0 END) AS spf_aligned_messages,
        max(date) AS last_day
    FROM daily
    WHERE date > $until - $days AND date <= $until
    GROUP BY policy_domain
),
organisations AS (
    SELECT policy_domain, count(DISTINCT org_name) AS reporters
    FROM daily_reporters
    WHERE date > $until - $days AND date <= $until
    GROUP BY policy_domain
),
policies AS (
    SELECT policy_domain, first_value(p ORDER BY range_end DESC, report_key) AS policy
    FROM reports
    WHERE date > $until - $days AND date <= $until AND p IS NOT NULL
    GROUP BY policy_domain
)
SELECT
    totals.policy_domain,
    policies.policy,
    totals.messages,
    totals.passed_messages,
    round(100.0 * totals.passed_messages / nullif(totals.messages, 0), 2) AS pass_percent,
    totals.dkim_aligned_messages,
    totals.spf_aligned_messages,
    totals.messages - totals.passed_messages AS failed_messages,
    coalesce(organisations.reporters, 0) AS reporters,
    totals.last_day
FROM totals
LEFT JOIN organisations ON organisations.policy_domain = totals.policy_domain
LEFT JOIN policies ON policies.policy_domain = totals.policy_domain
ORDER BY messages DESC, totals.policy_domain
