-- What no script can work with: somebody else's data under the keys of a run, or fields of it that are gone. One such
-- run must not stop the others, so the work on a run is guarded, and a run that cannot be worked on is set aside.
-- What this version of the script, and so the worker that sends it, can work on. `create` writes it; `submission.rs`.
local FORMAT = '3'
local function is_whole(value, least)
  return type(value) == 'string' and #value <= 16 and string.match(value, '^%d+$') and tonumber(value) >= least
end
local function type_of(name) return redis.call('TYPE', name).ok end
local ENDED = { completed = true, partial = true, failed = true, cancelled = true }
local function is_live(state) return is_open(state) or state == 'collecting' or state == 'reopening' end

-- The parts of a run, and what type each has.
local function wrong_part(run)
  for _, part in ipairs({ 'tests', 'kept', 'tries', 'owners', 'results', 'dialogues' }) do
    local found = type_of(run_key(run, part))
    if found ~= 'hash' and found ~= 'none' then return part, found, 'hash' end
  end
  for _, part in ipairs({ 'config', 'countdown', 'summary' }) do
    local found = type_of(run_key(run, part))
    if found ~= 'string' and found ~= 'none' then return part, found, 'string' end
  end
  local again = type_of(run_key(run, 'again'))
  if again ~= 'list' and again ~= 'none' then return 'again', again, 'list' end
end

-- Whether there is something of a run that had not ended: what ended has a time to live.
local function has_remains(run)
  for _, part in ipairs({ 'config', 'tests', 'results', 'countdown', 'owners', 'again' }) do
    if redis.call('PTTL', run_key(run, part)) == -1 then return true end
  end
  return false
end

local MORE_RESULTS = 'it has more results than tests'
-- Why no script can work on this run, in a sentence; nil when nothing keeps them from it.
local function diagnose(run)
  local kind = type_of(run_key(run))
  if kind ~= 'hash' and kind ~= 'none' then return 'its hash is a ' .. kind end
  if kind == 'none' then
    if has_remains(run) then return 'its hash is gone' end
    return nil
  end
  local part, found, expected = wrong_part(run)
  if part then return 'its ' .. part .. ' are a ' .. found .. ' and not a ' .. expected end
  local state, mode, total, next_index, cap, endpoint, lease, format = unpack(redis.call('HMGET', run_key(run), 'state',
    'mode', 'total', 'next', 'cap', 'endpoint', 'lease_ms', 'format'))
  if not state then return 'its state is gone' end
  if ENDED[state] then return nil end
  if format and not is_whole(format, 1) then return 'its format is no number' end
  -- What has to be there in a run of another version is for that version to say.
  if format and format ~= FORMAT then return nil end
  if state ~= 'preparing' and not is_live(state) then return 'its state is unknown: ' .. string.sub(state, 1, 40) end
  if mode ~= 'Parallel' and mode ~= 'Sequential' then return 'its mode is gone or unknown' end
  if not endpoint then return 'its endpoint is gone' end
  if not is_whole(next_index, 0) then return 'its next is gone or no number' end
  if not is_whole(cap, 1) then return 'its cap is gone or no number' end
  if not is_whole(lease, 1) then return 'its lease_ms is gone or no number' end
  -- A run that is being collected is past needing it.
  if state ~= 'collecting' and redis.call('EXISTS', run_key(run, 'config')) == 0 then return 'its config is gone' end
  if state == 'preparing' then return nil end
  if not is_whole(total, 1) then return 'its total is gone or no number' end
  if tonumber(next_index) > tonumber(total) then return 'its next is beyond its total' end
  if redis.call('HLEN', run_key(run, 'results')) > tonumber(total) then return MORE_RESULTS end
end

-- Takes a run out of the way of the others until it is repaired. The reason is what people are told.
local function quarantine(run, reason)
  local place = redis.pcall('HMGET', run_key(run), 'endpoint', 'tenant')
  if place[1] then pcall(leave_line, run, place[1], place[2] or 'default') end
  if redis.call('ZADD', key('quarantine'), 'NX', now_text, run) == 1 then
    redis.call('HSET', key('quarantine:reasons'), run, reason)
  end
end

-- A key of the wrong type makes room for a right one, and is kept for whoever wants to look.
local ASIDE_MS = 86400000
local function set_aside(name)
  local aside = key('aside:' .. string.sub(name, #root + 2))
  redis.call('RENAME', name, aside)
  redis.call('PEXPIRE', aside, ASIDE_MS)
end

-- Keys of an endpoint are nobody's own: wrong ones are replaced, or every run against it would be stopped. Answers
-- whether one was wrong. Until a run is opened the limit is 1: nobody knows a higher one that would be kept to.
local function mend_endpoint(endpoint)
  local mended = false
  local kind = type_of(endpoint_key(endpoint))
  if kind ~= 'hash' and kind ~= 'none' then
    set_aside(endpoint_key(endpoint))
    redis.call('HSET', endpoint_key(endpoint), 'max_concurrency', '1')
    mended = true
  end
  local function keep_only(name, expected)
    local found = type_of(name)
    if found == expected or found == 'none' then return end
    set_aside(name)
    mended = true
  end
  keep_only(endpoint_key(endpoint, 'tenants'), 'zset')
  keep_only(endpoint_key(endpoint, 'lingering'), 'zset')
  keep_only(endpoint_key(endpoint, 'history'), 'list')
  -- The sweeper places the runs that were in it again.
  for _, tenant in ipairs(redis.call('ZRANGE', endpoint_key(endpoint, 'tenants'), 0, -1)) do
    kind = type_of(waiting_key(endpoint, tenant))
    if kind ~= 'zset' and kind ~= 'none' then
      set_aside(waiting_key(endpoint, tenant))
      redis.call('ZREM', endpoint_key(endpoint, 'tenants'), tenant)
      mended = true
    end
  end
  kind = type_of(endpoint_key(endpoint, 'slots'))
  if kind ~= 'set' and kind ~= 'none' then
    set_aside(endpoint_key(endpoint, 'slots'))
    -- What is in flight is in the leases too; so are tests whose endpoint has answered, which take room once more until they end.
    for _, job in ipairs(redis.call('ZRANGE', key('leases'), 0, -1)) do
      local run = string.match(job, '^([^/]*)/%d+$')
      if run and redis.pcall('HGET', run_key(run), 'endpoint') == endpoint then
        redis.call('SADD', endpoint_key(endpoint, 'slots'), job)
      end
    end
    mended = true
  end
  return mended
end

-- Conditions of the server are not the run's fault, and neither is a key that all runs share.
local function blame(run, problem)
  local text = type(problem) == 'table' and problem.err or tostring(problem)
  local code = string.match(text, '^%-?(%u+) ')
  if code and code ~= 'WRONGTYPE' and code ~= 'ERR' then error(problem) end
  local reason = diagnose(run)
  if not reason then
    local endpoint = redis.call('HGET', run_key(run), 'endpoint')
    if endpoint and mend_endpoint(endpoint) then return end
    -- Fields that only count or sort: a transition that cannot use one says so, and the repair removes it.
    reason = not code and 'a script cannot work on it: ' .. string.sub(text, 1, 200)
      or string.match(text, 'not an integer') and 'a count of it is no number'
  end
  if not reason then error(problem) end
  quarantine(run, reason)
end

-- Does the work on one run. What raises because of its data sets the run aside and answers nil.
local function guarded(run, work, ...)
  local done, answer, more = pcall(work, ...)
  if done then return answer, more end
  blame(run, answer)
  return nil
end
