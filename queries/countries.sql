-- Countries.
-- The countries that messages come from, by the addresses that sent them.
--
-- parameters:
--   days    days  30      how many days, up to `until`
--   until   date  newest  the last day; by default the newest in the data
--   domain  text  null    one policy domain; by default all
-- columns:
--   country          the country, ISO 3166-1 alpha-2; absent when it is not known
--   messages         messages that came from it
--   percent          their share of all messages
--   passed_messages  those that pass DMARC
--   pass_percent     their share
--   failed_messages  those that fail
WITH totals AS (
    SELECT country, sum(messages) AS messages, sum(CASE WHEN dmarc_pass THEN messages ELSE 0 END) AS passed_messages
    FROM daily_senders
    WHERE date > $until - $days AND date <= $until
      AND ($domain IS NULL OR policy_domain = lower($domain))
    GROUP BY country
)
SELECT
    country,
    messages,
    round(100.0 * messages / nullif(sum(messages) OVER (), 0), 2) AS percent,
    passed_messages,
    round(100.0 * passed_messages / nullif(messages, 0), 2) AS pass_percent,
    messages - passed_messages AS failed_messages
FROM totals
ORDER BY messages DESC, country
