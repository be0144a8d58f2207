-- Services.
-- The sending services that messages were recognised as, and how their messages fare.
--
-- parameters:
--   days    days  30      how many days, up to `until`
--   until   date  newest  the last day; by default the newest in the data
--   domain  text  null    one policy domain; by default all
-- columns:
--   service                the sending service; absent for messages that were recognised as none
--   messages               messages that it sent
--   percent                their share of all messages
--   passed_messages        those that pass DMARC
--   pass_percent           their share
--   failed_messages        those that fail
--   dkim_aligned_messages  those with an aligned DKIM signature
--   spf_aligned_messages   those with an aligned SPF result
--   domains                policy domains that it sent for
--   first_day              the first day with messages
--   last_day               the last day with messages
WITH services AS (
    SELECT
        service,
        sum(messages) AS messages,
        sum(CASE WHEN dmarc_pass THEN messages ELSE 0 END) AS passed_messages,
        sum(CASE WHEN dkim_aligned THEN messages ELSE 0 END) AS dkim_aligned_messages,
        sum(CASE WHEN spf_aligned THEN messages ELSE 0 END) AS spf_aligned_messages,
        count(DISTINCT policy_domain) AS domains,
        min(date) AS first_day,
        max(date) AS last_day
    FROM daily_senders
    WHERE date > $until - $days AND date <= $until
      AND ($domain IS NULL OR policy_domain = lower($domain))
    GROUP BY service
)
SELECT
    service,
    messages,
    round(100.0 * messages / nullif(sum(messages) OVER (), 0), 2) AS percent,
    passed_messages,
    round(100.0 * passed_messages / nullif(messages, 0), 2) AS pass_percent,
    messages - passed_messages AS failed_messages,
    dkim_aligned_messages,
    spf_aligned_messages,
    domains,
    first_day,
    last_day
FROM services
ORDER BY messages DESC, service
