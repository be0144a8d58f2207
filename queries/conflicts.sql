-- Conflicts.
-- Distinct reports that share their identity (organisation, domain, report id and interval) with another of
-- other content. All of them count. Counted by the day that they begin on.
--
-- parameters:
--   days    days  30      how many days, up to `until`
--   until   date  newest  the last day; by default the newest in the data
--   domain  text  null    one policy domain; by default all
-- columns:
--   org_name         the organisation
--   policy_domain    the domain that the report is about
--   report_id        its identifier
--   range_begin      begin of the interval that it covers
--   range_end        end of that interval
--   records          its records
--   messages         its messages
--   passed_messages  those that pass DMARC
--   copies           how many copies of it came
--   origin           where it came from
--   entry            path of the report inside that
--   report_key       identifies it: give it to `report`
SELECT
    org_name,
    policy_domain,
    report_id,
    range_begin,
    range_end,
    record_count AS records,
    messages,
    passed_messages,
    copies,
    origin,
    entry,
    report_key
FROM reports
WHERE conflict
  AND date > $until - $days AND date <= $until
  AND ($domain IS NULL OR policy_domain = lower($domain))
ORDER BY org_name, policy_domain, report_id, range_begin, range_end, report_key
