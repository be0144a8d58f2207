-- Repairs by reporter.
-- What had to be mended to read the reports of each organisation. Counted by the day that they begin on.
--
-- parameters:
--   days    days  30      how many days, up to `until`
--   until   date  newest  the last day; by default the newest in the data
--   domain  text  null    one policy domain; by default all
-- columns:
--   org_name  the organisation
--   kind      kind of repair
--   place     the element that was mended
--   reports   reports that needed it
--   repairs   how many times it was made
--   original  one of the texts as they stood
SELECT
    org_name,
    kind,
    place,
    count(DISTINCT report_key) AS reports,
    sum(repairs) AS repairs,
    min(original) AS original
FROM report_repairs
WHERE date > $until - $days AND date <= $until
  AND ($domain IS NULL OR policy_domain = lower($domain))
GROUP BY org_name, kind, place
ORDER BY reports DESC, org_name, kind, place
