--- put_baseline: keeps what became of the tests of an ended run under a name, so that later runs can be compared with it when
-- the run itself is forgotten. Another baseline of that name is replaced. Refused when the run went on since it was read.
-- Promises: ONE-TRUTH
-- Flags: none
-- Keys: run baseline baselines
-- ARGV: 1 name; 2 run; 3 epoch of the run whose results the document is made from; 4 document; 5 name of the run's
--   configuration; 6 tests in the document
-- Answers: stored | changed (state now) | unknown
--@include keys
--@include time
local state, epoch = unpack(redis.call('HMGET', run_key(ARGV[2]), 'state', 'epoch'))
if not state then return { 'unknown' } end
local ended = state == 'completed' or state == 'partial' or state == 'failed' or state == 'cancelled'
if not ended or (epoch or '1') ~= ARGV[3] then return { 'changed', state } end
-- A list of a wrong type raises here, before anything is written.
redis.call('ZSCORE', key('baselines'), ARGV[1])
redis.call('HSET', key('baseline:' .. ARGV[1]), 'run', ARGV[2], 'document', ARGV[4], 'configuration', ARGV[5], 'tests', ARGV[6],
  'stored_at', now_text)
redis.call('ZADD', key('baselines'), now_text, ARGV[1])
return { 'stored' }
