--- drop_dead: forgets jobs that were given up. What became of their runs stays as it is.
-- Promises: NO-LEAK
-- Flags: allow-oom
-- Keys: dead dead:jobs
-- ARGV: 1… job ids (at most 500)
-- Answers: dropped (jobs forgotten)
--@include keys
if #ARGV == 0 then return { 'dropped', 0 } end
redis.call('HDEL', key('dead:jobs'), unpack(ARGV))
return { 'dropped', redis.call('ZREM', key('dead'), unpack(ARGV)) }
