-- Policy history.
-- The policies that reporters found published, and when. What a report leaves out stands as its default: `sp` as
-- `p`, `adkim` and `aspf` as r, `pct` as 100.
--
-- parameters:
--   days    days  365     how many days, up to `until`
--   until   date  newest  the last day; by default the newest in the data
--   domain  text  null    one policy domain; by default all
-- columns:
--   policy_domain  the domain
--   first_day      first day of a report that shows the policy
--   last_day       last day of a report that shows it
--   p              policy of the domain
--   sp             policy of its subdomains
--   adkim          DKIM alignment mode
--   aspf           SPF alignment mode
--   pct            share of messages that the policy applies to, in percent
--   testing        policy test mode, where given
--   reports        reports that show it
--   reporters      organisations that made them
SELECT
    policy_domain,
    min(date) AS first_day,
    max(date) AS last_day,
    p,
    coalesce(sp, p) AS sp,
    coalesce(adkim, 'r') AS adkim,
    coalesce(aspf, 'r') AS aspf,
    coalesce(pct, 100) AS pct,
    testing,
    count(*) AS reports,
    count(DISTINCT org_name) AS reporters
FROM reports
WHERE date > $until - $days AND date <= $until
  AND ($domain IS NULL OR policy_domain = lower($domain))
GROUP BY policy_domain, p, coalesce(sp, p), coalesce(adkim, 'r'), coalesce(aspf, 'r'), coalesce(pct, 100), testing
ORDER BY policy_domain, first_day, last_day, reports DESC, p, sp, adkim, aspf, pct, testing
