-- One row for each kind of repair of `reports`, with the report's key.
SELECT
    date,
    report_key,
    policy_domain,
    org_name,
    report_id,
    origin,
    entry,
    item['kind'] AS kind,
    item['place'] AS place,
    item['original'] AS original,
    item['count'] AS repairs
FROM (SELECT *, unnest(repairs) AS item FROM reports)
