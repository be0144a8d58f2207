-- Is it safe to enforce?
-- What p=reject would block: the messages of each domain that fail DMARC, by who sent them. Each failing
-- message counts in one column: forwarded, else from a recognised service, else from an address that also
-- sends messages of the domain which pass, else from an unknown source.
-- A recognised service is not always one's own: others can send through it.
--
-- parameters:
--   days    days  30      how many days, up to `until`
--   until   date  newest  the last day; by default the newest in the data
--   domain  text  null    one policy domain; by default all
-- columns:
--   policy_domain       the domain
--   policy              the policy (p) in the newest report of the period that gives one
--   messages            messages that were reported
--   pass_percent        the share that passes DMARC
--   failed_messages     messages that fail: what p=reject would block
--   failed_forwarded    failing messages with a sign that they were forwarded
--   failed_service      failing messages of recognised services
--   failed_known        failing messages of other addresses that also send passing ones
--   failed_unknown      failing messages of everyone else
--   failing_services    the services that fail most, with their failing messages, three at most
--   advice              what this says: `enforced`, `too few messages` (under 100), `fix own senders`
--       (services and known addresses fail with 1 % of the messages or more), `mind forwarding` (the same of
--       forwarded messages), or `safe`
WITH sent AS (
    SELECT
        policy_domain,
        source_ip,
        service,
        forwarding,
        sum(messages) AS messages,
        sum(CASE WHEN dmarc_pass THEN messages ELSE 0 END) AS passed_messages
    FROM daily_sources
    WHERE date > $until - $days AND date <= $until
      AND ($domain IS NULL OR policy_domain = lower($domain))
    GROUP BY policy_domain, source_ip, service, forwarding
),
judged AS (
    SELECT
        policy_domain,
        service,
        messages,
        passed_messages,
        messages - passed_messages AS failed_messages,
        CASE
            WHEN forwarding IS NOT NULL THEN 'forwarded'
            WHEN service IS NOT NULL THEN 'service'
            WHEN sum(passed_messages) OVER (PARTITION BY policy_domain, source_ip) > 0 THEN 'known'
            ELSE 'unknown'
        END AS sender
    FROM sent
),
totals AS (
    SELECT
        policy_domain,
        sum(messages) AS messages,
        sum(passed_messages) AS passed_messages,
        sum(failed_messages) AS failed_messages,
        sum(CASE WHEN sender = 'forwarded' THEN failed_messages ELSE 0 END) AS failed_forwarded,
        sum(CASE WHEN sender = 'service' THEN failed_messages ELSE 0 END) AS failed_service,
        sum(CASE WHEN sender = 'known' THEN failed_messages ELSE 0 END) AS failed_known,
        sum(CASE WHEN sender = 'unknown' THEN failed_messages ELSE 0 END) AS failed_unknown
    FROM judged
    GROUP BY policy_domain
),
services AS (
    SELECT policy_domain, service, sum(failed_messages) AS failed_messages
    FROM judged
    WHERE sender = 'service' AND failed_messages > 0
    GROUP BY policy_domain, service
),
named AS (
    SELECT
        policy_domain,
        array_to_string(array_slice(
            array_agg(service || ' ' || CAST(failed_messages AS VARCHAR) ORDER BY failed_messages DESC, service), 1, 3),
            ', ') AS failing_services
    FROM services
    GROUP BY policy_domain
),
policies AS (
    SELECT policy_domain, first_value(p ORDER BY range_end DESC, report_key) AS policy
    FROM reports
    WHERE date > $until - $days AND date <= $until AND p IS NOT NULL
      AND ($domain IS NULL OR policy_domain = lower($domain))
    GROUP BY policy_domain
)
SELECT
    totals.policy_domain,
    policies.policy,
    totals.messages,
    round(100.0 * totals.passed_messages / nullif(totals.messages, 0), 2) AS pass_percent,
    totals.failed_messages,
    totals.failed_forwarded,
    totals.failed_service,
    totals.failed_known,
    totals.failed_unknown,
    named.failing_services,
    CASE
        WHEN policies.policy = 'reject' THEN 'enforced'
        WHEN totals.messages < 100 THEN 'too few messages'
        WHEN 100 * (totals.failed_service + totals.failed_known) >= totals.messages THEN 'fix own senders'
        WHEN 100 * totals.failed_forwarded >= totals.messages THEN 'mind forwarding'
        ELSE 'safe'
    END AS advice
FROM totals
LEFT JOIN policies ON policies.policy_domain = totals.policy_domain
LEFT JOIN named ON named.policy_domain = totals.policy_domain
ORDER BY totals.messages DESC, totals.policy_domain
