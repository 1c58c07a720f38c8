-- enter_model: lets a call of a model in, or says how long to wait. The limits come with the call: each keeps to those of its
--   own configuration. What a call holds ends with its worker, and by itself when the call may not take longer.
-- Promises: LIMITS-HOLD
-- Flags: allow-oom
-- Keys: model workers
-- ARGV: 1 model; 2 worker incarnation; 3 permit; 4 ms that the call may take; 5 calls at once, or ''; 6 µs between calls, or '';
--   7 µs that a call may come too early
-- Answers: entered | wait (ms; hold, max_concurrency or rate)
--@include keys
--@include time
--@include admission
local state, calls = key('model:' .. ARGV[1] .. ':state'), key('model:' .. ARGV[1] .. ':calls')
local call, lasts = ARGV[2] .. '|' .. ARGV[3], tonumber(ARGV[4])
-- So many calls are looked at for lost workers. Those that end first are the oldest.
local LOOK_AT = 100
-- Asked again because the answer was lost: it is in.
local held = tonumber(redis.call('ZSCORE', calls, call))
if held and held > now then return { 'entered' } end
local hold_until, tat = unpack(redis.call('HMGET', state, 'hold_until', 'tat'))
local hold = (tonumber(hold_until) or 0) - now
if hold > 0 then return { 'wait', whole(math.ceil(hold)), 'hold' } end
local most, interval = tonumber(ARGV[5]), tonumber(ARGV[6])
local lost = {}
if most then
  local going = redis.call('ZCOUNT', calls, '(' .. now_text, '+inf')
  if going >= most then
    -- Nobody leaves for a worker that was taken for lost.
    local members = redis.call('ZRANGE', calls, '(' .. now_text, '+inf', 'BYSCORE', 'LIMIT', 0, LOOK_AT, 'WITHSCORES')
    local workers, first = {}, nil
    for i = 1, #members, 2 do workers[#workers + 1] = string.match(members[i], '^(.*)|') or '' end
    local known = #workers > 0 and redis.call('ZMSCORE', key('workers'), unpack(workers)) or {}
    for i = 1, #workers do
      if not known[i] then lost[#lost + 1] = members[2 * i - 1]
      else first = first or tonumber(members[2 * i]) end
    end
    if going - #lost >= most then
      return { 'wait', whole(math.ceil((first or now) - now)), 'max_concurrency' }
    end
  end
end
if interval then
  local count, at = conforming(tat, interval, tonumber(ARGV[7]) or 0)
  if count < 1 then return { 'wait', whole(math.ceil(math.max(1, at - now))), 'rate' } end
end
-- A key lives as long as it says something.
local function keep(name, ms)
  if redis.call('PTTL', name) < ms then redis.call('PEXPIRE', name, whole(math.ceil(ms))) end
end
redis.call('ZREMRANGEBYSCORE', calls, '-inf', now_text)
if #lost > 0 then redis.call('ZREM', calls, unpack(lost)) end
if most or interval then
  redis.call('ZADD', calls, whole(now + lasts), call)
  keep(calls, lasts)
end
if interval then
  local next_tat = math.max(tonumber(tat) or 0, now_us) + interval
  redis.call('HSET', state, 'tat', string.format('%.3f', next_tat))
  keep(state, (next_tat - now_us) / 1000 + 1)
end
return { 'entered' }
