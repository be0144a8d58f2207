-- Overrides and reasons.
-- Why receivers did something else than the policy asks for, as they say it.
-- Counted by the day that the report begins on. A record with two reasons counts under both.
--
-- parameters:
--   days    days  30      how many days, up to `until`
--   until   date  newest  the last day; by default the newest in the data
--   domain  text  null    one policy domain; by default all
-- columns:
--   reason       forwarded, local_policy, mailing_list, other, policy_test_mode, sampled_out or
--       trusted_forwarder; absent when only a comment is given
--   disposition  what the receiver did
--   dmarc_pass   whether the messages pass DMARC
--   messages     messages of records with that reason
--   records      those records
--   reporters    organisations that gave it
--   domains      policy domains that it was given for
--   comment      one of the comments
SELECT
    type AS reason,
    disposition,
    dmarc_pass,
    sum(messages) AS messages,
    count(*) AS records,
    count(DISTINCT org_name) AS reporters,
    count(DISTINCT policy_domain) AS domains,
    min(comment) AS comment
FROM (
    SELECT type, disposition, dmarc_pass, report_key, record_index, org_name, policy_domain, max(messages) AS messages,
        min(comment) AS comment
    FROM record_reasons
    WHERE date > $until - $days AND date <= $until
      AND ($domain IS NULL OR policy_domain = lower($domain))
    GROUP BY type, disposition, dmarc_pass, report_key, record_index, org_name, policy_domain
)
GROUP BY type, disposition, dmarc_pass
ORDER BY messages DESC, reason, disposition, dmarc_pass
