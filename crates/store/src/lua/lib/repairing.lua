-- Ending a run that cannot be worked on: what can be derived is derived, what cannot be read is set aside, and the
-- ordinary collection gives every test without a result an error that says why (TERMINAL-ALWAYS).
local COUNTS = { 'discarded', 'count:Pass', 'count:Fail', 'count:Inconclusive', 'count:Error', 'count:Cancelled',
  'count:NotRun', 'count:Skipped' }
-- A count that is no number would make every transition that adds to it fail. `doctor` counts anew.
local function drop_wrong_counts(run)
  local values = redis.call('HMGET', run_key(run), unpack(COUNTS))
  for i, name in ipairs(COUNTS) do
    if values[i] and not is_whole(values[i], 0) then redis.call('HDEL', run_key(run), name) end
  end
end

-- The endpoints that may know a run: all of them when the run does not say which.
local function endpoints_of(endpoint)
  if endpoint then return { endpoint } end
  return redis.call('ZRANGE', key('endpoints'), 0, -1)
end

-- Out of every line it may wait in, also where nobody knows any more which tenant's it was.
local function leave_lines(run, endpoint)
  for _, name in ipairs(endpoints_of(endpoint)) do
    for _, tenant in ipairs(redis.call('ZRANGE', endpoint_key(name, 'tenants'), 0, -1)) do leave_line(run, name, tenant) end
  end
end

-- Frees whatever is held of a run, also where its owners are gone. A late result is refused from here on.
local function free_holders(run, endpoint)
  each_field(run_key(run, 'owners'), function(index, entry)
    local owner = read_owner(entry)
    if not owner then return end
    free(run, index, owner.worker, endpoint)
    for _, name in ipairs(endpoints_of(endpoint)) do redis.call('SREM', endpoint_key(name, 'slots'), job_id(run, index)) end
  end)
  redis.call('DEL', run_key(run, 'owners'))
  local prefix, lost = run .. '/', {}
  for _, job in ipairs(redis.call('ZRANGE', key('leases'), 0, -1)) do
    if string.sub(job, 1, #prefix) == prefix then lost[#lost + 1] = job end
  end
  local workers = #lost > 0 and redis.call('ZRANGE', key('workers'), 0, -1) or {}
  for _, job in ipairs(lost) do
    redis.call('ZREM', key('leases'), job)
    for _, name in ipairs(endpoints_of(endpoint)) do redis.call('SREM', endpoint_key(name, 'slots'), job) end
    for _, worker in ipairs(workers) do redis.call('SREM', worker_key(worker, 'jobs'), job) end
  end
end

local function forget_control(job)
  local owner = read_owner(redis.call('HGET', key('control:owners'), job))
  if owner then redis.call('SREM', worker_key(owner.worker, 'jobs'), job) end
  redis.call('HDEL', key('control:owners'), job)
  redis.call('HDEL', key('control:attempts'), job)
  redis.call('ZREM', key('leases'), job)
  redis.call('ZREM', lane(job), job)
end

local function release_from_quarantine(run)
  redis.call('ZREM', key('quarantine'), run)
  redis.call('HDEL', key('quarantine:reasons'), run)
end

-- Nothing is left that could be ended: out of every index, with a record of it among the dead.
local function bury(run, reason, retention)
  free_holders(run, nil)
  forget_control('collect:' .. run)
  forget_control('notify:' .. run)
  for _, name in ipairs({ 'paused', 'deadlines', 'runs' }) do redis.call('ZREM', key(name), run) end
  leave_lines(run, nil)
  redis.call('HDEL', key('outbox'), run)
  forget_groups(run)
  for _, part in ipairs({ 'config', 'tests', 'kept', 'again', 'tries', 'results', 'countdown', 'summary', 'needs', 'waits',
    'unmet', 'dependents', 'groups', 'grouped', 'dialogues' }) do
    redis.call('PEXPIRE', run_key(run, part), retention)
  end
  if redis.call('EXISTS', run_key(run)) == 1 then set_aside(run_key(run)) end
  redis.call('ZADD', key('dead'), now_text, 'run:' .. run)
  redis.call('HSET', key('dead:jobs'), 'run:' .. run, cjson.encode({ reason = reason, payload = '' }))
  release_from_quarantine(run)
end

-- As many tests as can be told from what is left.
local function derive_total(run)
  local results, tests = redis.call('HLEN', run_key(run, 'results')), redis.call('HLEN', run_key(run, 'tests'))
  local total = results + tests
  local countdown = redis.call('GET', run_key(run, 'countdown'))
  if tests == 0 and is_whole(countdown, 0) and #countdown < 9 then total = results + tonumber(countdown) end
  local function reach(index)
    if is_whole(index, 0) and #index < 9 then total = math.max(total, tonumber(index) + 1) end
  end
  each_field(run_key(run, 'tests'), reach)
  each_field(run_key(run, 'results'), reach)
  return total
end

-- A result of a test that the run does not have would keep the countdown from its zero.
local function drop_foreign_results(run, total)
  local foreign = {}
  each_field(run_key(run, 'results'), function(index)
    if not is_whole(index, 0) or tonumber(index) >= total or tostring(tonumber(index)) ~= index then
      foreign[#foreign + 1] = index
    end
  end)
  for _, index in ipairs(foreign) do redis.call('HDEL', run_key(run, 'results'), index) end
end

local function state_of_summary(run)
  local readable, summary = pcall(cjson.decode, redis.call('GET', run_key(run, 'summary')) or '')
  local word = readable and type(summary) == 'table' and summary.final_status
  word = type(word) == 'string' and string.lower(word)
  return ENDED[word] and word or nil
end

local function name_in_config(run)
  local readable, config = pcall(cjson.decode, redis.call('GET', run_key(run, 'config')) or '')
  local name = readable and type(config) == 'table' and config.name
  return type(name) == 'string' and name or ''
end

local function end_damaged(run, endpoint, total, reason)
  local mode, created, cap, lease = unpack(redis.call('HMGET', run_key(run), 'mode', 'created_at', 'cap', 'lease_ms'))
  free_holders(run, endpoint)
  redis.call('HSET', run_key(run), 'total', whole(total), 'next', whole(total), 'endpoint', endpoint or '',
    'mode', mode == 'Sequential' and mode or 'Parallel', 'cap', is_whole(cap, 1) and cap or '1',
    'lease_ms', is_whole(lease, 1) and lease or '60000', 'damage', reason,
    'created_at', is_whole(created, 0) and created or now_text)
  redis.call('HSETNX', run_key(run), 'activated_at', now_text)
  redis.call('HSETNX', run_key(run), 'name', name_in_config(run))
  redis.call('HSETNX', run_key(run), 'weight', '1')
  if not is_whole(redis.call('HGET', run_key(run), 'format'), 1) then redis.call('HDEL', run_key(run), 'format') end
  for _, part in ipairs({ 'config', 'tests', 'kept', 'again', 'tries', 'results', 'countdown', 'dialogues' }) do
    redis.call('PERSIST', run_key(run, part))
  end
  redis.call('PERSIST', run_key(run))
  if redis.call('HLEN', run_key(run, 'results')) > total then drop_foreign_results(run, total) end
  leave_lines(run, endpoint)
  -- Whoever holds its collection has begun with what was damaged.
  forget_control('collect:' .. run)
  begin_collection(run, endpoint or '', 'damaged')
  write_countdown(run, total)
  redis.call('ZADD', key('runs'), 'NX', now_text, run)
end

-- Never acknowledged: it ends as the sweeper ends it when its time is over.
local function abandon(run, reason, retention)
  redis.call('HSET', run_key(run), 'state', 'failed', 'stop', 'abandoned', 'damage', reason, 'ended_at', now_text)
  redis.call('HDEL', run_key(run), 'total')
  redis.call('ZREM', key('deadlines'), run)
  redis.call('UNLINK', run_key(run, 'tests'))
  forget_shape(run)
  redis.call('PEXPIRE', run_key(run, 'config'), retention)
  redis.call('PEXPIRE', run_key(run), retention)
  release_from_quarantine(run)
end

-- Answers what became of the run, and why.
local function repair_run(run, retention)
  local reason, wrong = redis.call('HGET', key('quarantine:reasons'), run), diagnose(run)
  reason = wrong or reason
  if not reason then
    release_from_quarantine(run)
    return { 'sound' }
  end
  -- What is freed below belongs to its endpoint too.
  local endpoint = redis.pcall('HGET', run_key(run), 'endpoint')
  if type(endpoint) == 'string' then mend_endpoint(endpoint) end
  local kind = type_of(run_key(run))
  if kind ~= 'hash' and kind ~= 'none' then set_aside(run_key(run)) end
  local part = wrong_part(run)
  while part do
    set_aside(run_key(run, part))
    part = wrong_part(run)
  end
  drop_wrong_counts(run)
  local state, total, endpoint = unpack(redis.call('HMGET', run_key(run), 'state', 'total', 'endpoint'))
  if not state or not (ENDED[state] or is_live(state) or state == 'preparing') then
    local known = total or redis.call('EXISTS', run_key(run, 'countdown'), run_key(run, 'results')) > 0
    state = state_of_summary(run) or (known and 'collecting')
    if state and ENDED[state] then redis.call('HSET', run_key(run), 'state', state) end
  end
  if state == 'preparing' then
    abandon(run, reason, retention)
    return { 'abandoned', reason }
  end
  if ENDED[state] then
    release_from_quarantine(run)
    return { 'ended', reason }
  end
  if wrong == MORE_RESULTS then
    -- The countdown is right again without them, and nothing else was wrong.
    drop_foreign_results(run, tonumber(total))
    write_countdown(run, tonumber(total))
    wrong = diagnose(run)
  end
  if not wrong and not string.find(reason, 'a script cannot', 1, true) then
    release_from_quarantine(run)
    local next_index = redis.call('HGET', run_key(run), 'next')
    local pending = next_index ~= total or redis.call('LLEN', run_key(run, 'again')) > 0
    if is_open(state) and pending then place(run, endpoint) ring() end
    return { 'released', reason }
  end
  total = is_whole(total, 1) and tonumber(total) or derive_total(run)
  if not state or total < 1 then
    bury(run, reason, retention)
    return { 'lost', reason }
  end
  end_damaged(run, endpoint, total, reason)
  release_from_quarantine(run)
  return { 'collecting', reason }
end
