-- Dispositions.
-- What receivers did with the messages, by whether they pass DMARC.
--
-- parameters:
--   days    days  30      how many days, up to `until`
--   until   date  newest  the last day; by default the newest in the data
--   domain  text  null    one policy domain; by default all
-- columns:
--   disposition  none, pass, quarantine or reject; absent when the reporter does not say
--   dmarc_pass   whether the messages pass DMARC
--   messages     the messages
--   percent      their share of all messages
WITH totals AS (
    SELECT disposition, dmarc_pass, sum(messages) AS messages
    FROM daily
    WHERE date > $until - $days AND date <= $until
      AND ($domain IS NULL OR policy_domain = lower($domain))
    GROUP BY disposition, dmarc_pass
)
SELECT
    disposition,
    dmarc_pass,
    messages,
    round(100.0 * messages / nullif(sum(messages) OVER (), 0), 2) AS percent
FROM totals
ORDER BY messages DESC, disposition, dmarc_pass
