-- Duplicates.
-- The organisations whose reports came more than once; each report counts once, its copies were dropped.
-- Counted by the day that the reports begin on.
--
-- parameters:
--   days    days  30      how many days, up to `until`
--   until   date  newest  the last day; by default the newest in the data
--   domain  text  null    one policy domain; by default all
-- columns:
--   org_name            the organisation
--   reports             its distinct reports
--   duplicated_reports  those that came more than once
--   duplicates          copies that were dropped
--   most_copies         copies of the report that came most often
SELECT
    org_name,
    count(*) AS reports,
    sum(CASE WHEN copies > 1 THEN 1 ELSE 0 END) AS duplicated_reports,
    sum(copies - 1) AS duplicates,
    max(copies) AS most_copies
FROM reports
WHERE date > $until - $days AND date <= $until
  AND ($domain IS NULL OR policy_domain = lower($domain))
GROUP BY org_name
HAVING max(copies) > 1
ORDER BY duplicates DESC, org_name
