-- Dead letters.
-- The inputs that could not be read, the newest first, and what became of them.
--
-- parameters:
--   state   text  open  open, retried or discarded; empty for all
--   reason  text  null  one reason, as its short code
--   limit   int   100   how many
-- columns:
--   died_at   when it was given up
--   stage     the stage that gave it up
--   reason    why, as a short code
--   detail    why, in a sentence
--   origin    where it came from
--   entry     path of the dead part inside that
--   attempts  how many times it was tried
--   size      its size in bytes
--   state     open, retried or discarded
--   letter    identifies it
SELECT
    died_at,
    stage,
    reason,
    detail,
    origin,
    entry,
    attempts,
    size,
    state,
    letter
FROM dead_letters
WHERE ($state IS NULL OR state = $state)
  AND ($reason IS NULL OR reason = $reason)
ORDER BY died_at DESC, letter
LIMIT $limit
