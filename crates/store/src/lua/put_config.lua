--- put_config: stores a test configuration under its id, if the version is the one the caller read.
-- Promises: SUBMIT-ATOMIC
-- Flags: none
-- Keys: config configs
-- ARGV: 1 id; 2 document; 3 expected version: '' any, '0' none yet; 4 name for operators; 5 mode for operators
-- Answers: stored (version) | changed (version now)
--@include keys
--@include time
local config = key('config:' .. ARGV[1])
local version = tonumber(redis.call('HGET', config, 'version')) or 0
if ARGV[3] ~= '' and tonumber(ARGV[3]) ~= version then return { 'changed', version } end
redis.call('HSET', config, 'version', version + 1, 'document', ARGV[2], 'name', ARGV[4], 'mode', ARGV[5],
  'updated_at', now_text)
redis.call('ZADD', key('configs'), now_text, ARGV[1])
return { 'stored', version + 1 }
