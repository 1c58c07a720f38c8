--- set_fleet: what holds for the whole fleet: tests in flight in all, and whether runs that were started come first.
-- Promises: LIMITS-HOLD, FAIR
-- Flags: allow-oom
-- Keys: fleet bell
-- ARGV: name, value pairs: `max_concurrency`, `order` (`fair` or `finish-first`); '' clears
-- Answers: set
--@include keys
--@include bell
for at = 1, #ARGV, 2 do
  if ARGV[at + 1] == '' then redis.call('HDEL', key('fleet'), ARGV[at])
  else redis.call('HSET', key('fleet'), ARGV[at], ARGV[at + 1]) end
end
ring()
return { 'set' }
