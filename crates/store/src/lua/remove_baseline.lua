--- remove_baseline: forgets a stored baseline. Runs that were compared with it keep what came of that.
-- Promises: ONE-TRUTH
-- Flags: allow-oom
-- Keys: baseline baselines
-- ARGV: 1 name
-- Answers: removed | unknown
--@include keys
local name, baselines = key('baseline:' .. ARGV[1]), key('baselines')
-- Listed and not stored, or the other way round, is removed, too.
local listed, stored = redis.call('ZSCORE', baselines, ARGV[1]), redis.call('EXISTS', name) == 1
if not listed and not stored then return { 'unknown' } end
redis.call('ZREM', baselines, ARGV[1])
redis.call('DEL', name)
return { 'removed' }
