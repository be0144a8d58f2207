-- Failing sources.
-- The addresses whose messages fail DMARC, those with most failing messages first.
-- Messages that were forwarded fail without anyone's fault; `forwarded_messages` counts those with a sign of it.
--
-- parameters:
--   days    days  30      how many days, up to `until`
--   until   date  newest  the last day; by default the newest in the data
--   domain  text  null    one policy domain; by default all
--   limit   int   50      how many addresses
-- columns:
--   source_ip              the address
--   service                the sending service that it was recognised as; of several the one with most messages
--   country                country of the address
--   asn                    autonomous system of the address
--   messages               messages that it sent
--   passed_messages        those that pass DMARC
--   pass_percent           their share
--   failed_messages        those that fail
--   dkim_aligned_messages  those with an aligned DKIM signature
--   spf_aligned_messages   those with an aligned SPF result
--   forwarded_messages     those with a sign that they were forwarded
--   domains                policy domains that it sent for
--   first_day              the first day with messages
--   last_day               the last day with messages
WITH parts AS (
    SELECT
        source_ip,
        service,
        policy_domain,
        country,
        asn,
        sum(messages) AS messages,
        sum(CASE WHEN dmarc_pass THEN messages ELSE 0 END) AS passed_messages,
        sum(CASE WHEN dkim_aligned THEN messages ELSE 0 END) AS dkim_aligned_messages,
        sum(CASE WHEN spf_aligned THEN messages ELSE 0 END) AS spf_aligned_messages,
        sum(CASE WHEN forwarding IS NOT NULL THEN messages ELSE 0 END) AS forwarded_messages,
        min(date) AS first_day,
        max(date) AS last_day
    FROM daily_sources
    WHERE date > $until - $days AND date <= $until
      AND ($domain IS NULL OR policy_domain = lower($domain))
    GROUP BY source_ip, service, policy_domain, country, asn
)
SELECT
    source_ip,
    first_value(service ORDER BY service IS NULL, messages DESC, service) AS service,
    max(country) AS country,
    max(asn) AS asn,
    sum(messages) AS messages,
    sum(passed_messages) AS passed_messages,
    round(100.0 * sum(passed_messages) / nullif(sum(messages), 0), 2) AS pass_percent,
    sum(messages) - sum(passed_messages) AS failed_messages,
    sum(dkim_aligned_messages) AS dkim_aligned_messages,
    sum(spf_aligned_messages) AS spf_aligned_messages,
    sum(forwarded_messages) AS forwarded_messages,
    count(DISTINCT policy_domain) AS domains,
    min(first_day) AS first_day,
    max(last_day) AS last_day
FROM parts
GROUP BY source_ip
HAVING sum(messages) > sum(passed_messages)
ORDER BY failed_messages DESC, source_ip
LIMIT $limit
