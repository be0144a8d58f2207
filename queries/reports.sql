-- Reports.
-- A search among the reports, the newest first. Counted by the day that they begin on.
--
-- parameters:
--   days    days  30      how many days, up to `until`
--   until   date  newest  the last day; by default the newest in the data
--   domain  text  null    one policy domain; by default all
--   org     text  null    reporters whose name contains this, in any letter case
--   id      text  null    reports whose report id contains this
--   limit   int   100     how many reports
-- columns:
--   date             UTC day that the report begins on
--   policy_domain    the domain that it is about
--   org_name         the organisation that made it
--   report_id        its identifier
--   range_begin      begin of the interval that it covers
--   range_end        end of that interval
--   records          its records
--   messages         its messages
--   passed_messages  those that pass DMARC
--   pass_percent     their share
--   copies           how many copies of it came
--   conflict         whether another report has the same identity and other content
--   repairs          kinds of repair that were needed to read it
--   origin           where it came from
--   entry            path of the report inside that
--   report_key       identifies it: give it to `report`
SELECT
    date,
    policy_domain,
    org_name,
    report_id,
    range_begin,
    range_end,
    record_count AS records,
    messages,
    passed_messages,
    round(100.0 * passed_messages / nullif(messages, 0), 2) AS pass_percent,
    copies,
    conflict,
    cardinality(repairs) AS repairs,
    origin,
    entry,
    report_key
FROM reports
WHERE date > $until - $days AND date <= $until
  AND ($domain IS NULL OR policy_domain = lower($domain))
  AND ($org IS NULL OR contains(lower(org_name), lower($org)))
  AND ($id IS NULL OR contains(report_id, $id))
ORDER BY range_begin DESC, policy_domain, org_name, report_key
LIMIT $limit
