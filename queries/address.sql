-- One address.
-- What a source address did, for every domain: who it sent as, how its messages fared, and since when.
--
-- parameters:
--   ip      text  null    the address; by default the one with most failing messages
--   days    days  365     how many days, up to `until`
--   until   date  newest  the last day; by default the newest in the data
-- columns:
--   source_ip              the address
--   policy_domain          the domain whose policy was applied
--   header_from            the domain in the From header
--   service                the sending service that the messages were recognised as
--   country                country of the address
--   asn                    autonomous system of the address
--   messages               messages that it sent
--   passed_messages        those that pass DMARC
--   pass_percent           their share
--   failed_messages        those that fail
--   dkim_aligned_messages  those with an aligned DKIM signature
--   spf_aligned_messages   those with an aligned SPF result
--   forwarded_messages     those with a sign that they were forwarded
--   rejected_messages      those that receivers rejected
--   first_day              the first day with messages
--   last_day               the last day with messages
SELECT
    source_ip,
    policy_domain,
    header_from,
    service,
    country,
    asn,
    sum(messages) AS messages,
    sum(CASE WHEN dmarc_pass THEN messages ELSE 0 END) AS passed_messages,
    round(100.0 * sum(CASE WHEN dmarc_pass THEN messages ELSE 0 END) / nullif(sum(messages), 0), 2) AS pass_percent,
    sum(CASE WHEN dmarc_pass THEN 0 ELSE messages END) AS failed_messages,
    sum(CASE WHEN dkim_aligned THEN messages ELSE 0 END) AS dkim_aligned_messages,
    sum(CASE WHEN spf_aligned THEN messages ELSE 0 END) AS spf_aligned_messages,
    sum(CASE WHEN forwarding IS NOT NULL THEN messages ELSE 0 END) AS forwarded_messages,
    sum(CASE WHEN disposition = 'reject' THEN messages ELSE 0 END) AS rejected_messages,
    min(date) AS first_day,
    max(date) AS last_day
FROM daily_sources
WHERE date > $until - $days AND date <= $until
  AND source_ip = CASE
      WHEN $ip IS NOT NULL THEN lower($ip)
      ELSE (
          SELECT source_ip
          FROM daily_sources
          WHERE date > $until - $days AND date <= $until
            AND $ip IS NULL
          GROUP BY source_ip
          ORDER BY sum(CASE WHEN dmarc_pass THEN 0 ELSE messages END) DESC, source_ip
          LIMIT 1
      )
  END
GROUP BY source_ip, policy_domain, header_from, service, country, asn
ORDER BY messages DESC, policy_domain, header_from, service
