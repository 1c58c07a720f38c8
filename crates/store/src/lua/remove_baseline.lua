--- remove_baseline: forgets a stored baseline. Runs that were compared with it keep what came of that.
-- Promises: ONE-TRUTH
-- Flags: allow-oom
-- Keys: baseline baselines
-- ARGV: 1 name
-- Answers: removed | unknown
--@include keys
redis.call('ZREM', key('baselines'), ARGV[1])
if redis.call('DEL', key('baseline:' .. ARGV[1])) == 0 then return { 'unknown' } end
return { 'removed' }
