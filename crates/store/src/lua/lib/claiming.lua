-- Choosing what to work on: control jobs first (their lane never waits behind tests), then tests: of the endpoint, its
-- tenant and the tenant's run with the lowest virtual time, within the room of the fleet, the endpoint and the run.
local CONTROL_LEASE_MS = 60000
local LOOK_AT_MOST = 64
local PASS_OVER_AT_MOST = 256
local PROMOTE_AT_MOST = 200

local function promote(run, index)
  local state, endpoint, mode = unpack(redis.call('HMGET', run_key(run), 'state', 'endpoint', 'mode'))
  if is_open(state) then
    -- The one that waited is the first in the order of a Sequential run.
    redis.call(mode == 'Sequential' and 'LPUSH' or 'RPUSH', run_key(run, 'again'), index)
    place(run, endpoint)
  end
end
-- When time alone makes something claimable, of the kinds that were looked at; ms since 1970, with fractions.
local soonest
-- Whether nothing becomes claimable by time, no control job waits, and no setting of the fleet or of a tenant is there.
local quiet
-- What `complete` has read of runs, as it is after it, until somebody changes them.
local just_read
local function expect(at)
  if at and (not soonest or at < soonest) then soonest = at end
end
-- When the first entry is due; nil when there is none, or when it is due already.
local function not_yet(name)
  local head = redis.call('ZRANGE', key(name), 0, 0, 'WITHSCORES')
  local at = tonumber(head[2])
  if at and at * 1000 <= now_us then return nil, true end
  return at, false
end

-- Retries whose time has come go back to their runs, and endpoints whose time has come are offered.
local function promote_due()
  local at, is_due = not_yet('delayed')
  if is_due then
    local due = redis.call('ZRANGE', key('delayed'), '-inf', now_text, 'BYSCORE', 'LIMIT', 0, PROMOTE_AT_MOST)
    for _, job in ipairs(due) do
      local run, index = split_job(job)
      if run then guarded(run, promote, run, index) end
    end
    if #due > 0 then redis.call('ZREM', key('delayed'), unpack(due)) end
    at = not_yet('delayed')
  end
  expect(at)
end
local function wake_those_due()
  local at, is_due = not_yet('wakes')
  if is_due then
    wake_due()
    at = not_yet('wakes')
  end
  expect(at)
end

-- A count that is none begins anew.
local function count_attempt(job)
  local attempt = redis.pcall('HINCRBY', key('control:attempts'), job, 1)
  if type(attempt) == 'number' then return attempt end
  redis.call('HSET', key('control:attempts'), job, '1')
  return 1
end

-- Collections first. One place is theirs alone: mails that hang must not fill all of them.
local function take_due(lane_name, count)
  if count < 1 then return {} end
  local at, is_due = not_yet(lane_name)
  expect(at)
  if not is_due then return {} end
  local due = redis.call('ZRANGE', key(lane_name), '-inf', now_text, 'BYSCORE', 'LIMIT', 0, count)
  if #due > 0 then redis.call('ZREM', key(lane_name), unpack(due)) end
  return due
end
local function claim_control(worker, want)
  local answer = {}
  if want < 1 then return answer end
  local due = take_due('control', want)
  for _, job in ipairs(take_due('mails', want - math.max(#due, 1))) do due[#due + 1] = job end
  if #due == 0 then return answer end
  local fence = next_fence(redis.call('GET', key('fence')))
  redis.call('SET', key('fence'), fence)
  for _, job in ipairs(due) do
    local attempt = count_attempt(job)
    redis.call('HSET', key('control:owners'), job,
      worker .. '|' .. fence .. '|' .. attempt .. '|0|' .. now_text .. '|' .. now_text)
    redis.call('ZADD', key('leases'), whole(now + CONTROL_LEASE_MS), job)
    redis.call('SADD', worker_key(worker, 'jobs'), job)
    answer[#answer + 1] = job
    answer[#answer + 1] = fence
    answer[#answer + 1] = attempt
  end
  return answer
end

-- What is read of a run, in this order. `COUNT` is for `complete`.
local RUN_FIELDS = { 'state', 'mode', 'total', 'next', 'cap', 'endpoint', 'lease_ms', 'fence', 'weight', 'released_at',
  'activated_at', 'vt', 'epoch', 'format', 'cost_ms', 'shaped', 'budget', 'tenant', 'captured', 'fail_fast', 'fail_reason',
  'dialogues' }
local FIELD = { STATE = 1, MODE = 2, TOTAL = 3, NEXT = 4, CAP = 5, ENDPOINT = 6, LEASE_MS = 7, FENCE = 8, WEIGHT = 9,
  RELEASED_AT = 10, ACTIVATED_AT = 11, VT = 12, EPOCH = 13, FORMAT = 14, COST_MS = 15, SHAPED = 16, BUDGET = 17, TENANT = 18,
  CAPTURED = 19, FAIL_FAST = 20, FAIL_REASON = 21, DIALOGUES = 22, COUNT = 23 }

-- Writes what was gathered for the hash of a run, once.
local function write_run(run, set)
  if #set == 0 then return end
  redis.call('HSET', run_key(run), unpack(set))
  for i = #set, 1, -1 do set[i] = nil end
end

-- The indices to claim from one run: those to run again first, then fresh ones.
local function pick(run, count, again, next_index)
  local indices, repeated = {}, 0
  if again > 0 then
    indices = redis.call('LPOP', run_key(run, 'again'), math.min(count, again))
    repeated = #indices
  end
  for index = next_index, next_index + count - repeated - 1 do
    indices[#indices + 1] = decimal(index)
  end
  return indices, repeated
end

-- What tests cost until somebody has measured it, in ms of endpoint time. What is too much is paid by whoever comes first and
-- never given back; what is too little is too little once.
local UNKNOWN_COST_MS = 20

-- What a claim has to know of an endpoint, read once: what its admission goes by, and its place and its tenant's in the
-- fair order.
local AT_VT, AT_CLOCK, AT_COST, AT_TENANT_VT, AT_RUN_CLOCK = #ADMISSION + 1, #ADMISSION + 2, #ADMISSION + 3,
  #ADMISSION + 4, #ADMISSION + 5
local AT_RATE, AT_TAT = 2, 4
local function read_place(endpoint, tenant)
  local fields = { unpack(ADMISSION) }
  fields[AT_VT], fields[AT_CLOCK], fields[AT_COST] = 'vt', 'clock', 'cost_ms'
  fields[AT_TENANT_VT], fields[AT_RUN_CLOCK] = 'vt:' .. tenant, 'clock:' .. tenant
  return redis.call('HMGET', endpoint_key(endpoint), unpack(fields))
end

-- Whoever is served pays with virtual time: the endpoint in full, the tenant and the run by their weights
-- (start-time fair queueing, on three levels); and the endpoint's rate is used. Answers the new virtual times of the run, the
-- tenant and the endpoint.
local function charge(endpoint, tenant, count, fields, place)
  local cost = count * math.max(1, tonumber(fields[FIELD.COST_MS] or place[AT_COST]) or UNKNOWN_COST_MS)
  local weight = math.max(0.001, not quiet and tonumber(redis.call('HGET', key('tenants'), tenant)) or 1)
  local own_weight = math.max(0.001, tonumber(fields[FIELD.WEIGHT]) or 1)
  local clock = redis.call('GET', key('clock'))
  local served = math.max(tonumber(place[AT_VT]) or 0, tonumber(clock) or 0)
  local tenant_served = math.max(tonumber(place[AT_TENANT_VT]) or 0, tonumber(place[AT_CLOCK]) or 0)
  local run_served = math.max(tonumber(fields[FIELD.VT]) or 0, tonumber(place[AT_RUN_CLOCK]) or 0)
  -- What has not changed is not written again: virtual time passes slowly.
  local clock_now = math.floor(served)
  if clock_now ~= tonumber(clock) then redis.call('SET', key('clock'), whole(clock_now)) end
  local vt, tenant_vt = string.format('%.3f', served + cost), string.format('%.3f', tenant_served + cost / weight)
  local changed = { 'vt', vt, 'vt:' .. tenant, tenant_vt }
  local tenant_clock, run_clock = math.floor(tenant_served), math.floor(run_served)
  if tenant_clock ~= tonumber(place[AT_CLOCK]) then changed[5], changed[6] = 'clock', whole(tenant_clock) end
  if run_clock ~= tonumber(place[AT_RUN_CLOCK]) then
    changed[#changed + 1], changed[#changed + 2] = 'clock:' .. tenant, whole(run_clock)
  end
  if place[AT_RATE] and count > 0 then
    changed[#changed + 1], changed[#changed + 2] = 'tat', string.format('%.3f',
      math.max(tonumber(place[AT_TAT]) or 0, now_us) + count * (tonumber(place[AT_RATE]) or UNBOUNDED))
  end
  redis.call('HSET', endpoint_key(endpoint), unpack(changed))
  return string.format('%.3f', run_served + cost / own_weight), tenant_vt, vt
end

-- `set`: what else is to be written to the hash of the run.
local function claim_from(worker, endpoint, tenant, run, count, fields, again, room, free_places, place, in_line, set)
  local mode, next_index, shaped = fields[FIELD.MODE], tonumber(fields[FIELD.NEXT]), fields[FIELD.SHAPED]
  local lease_until = whole(now + tonumber(fields[FIELD.LEASE_MS]))
  local fence = next_fence(fields[FIELD.FENCE])
  local indices, repeated = pick(run, count, again, next_index)
  local unmet = {}
  if shaped then indices, unmet = admit_shaped(run, indices) repeated = #indices end
  local payloads = #indices > 0 and redis.call('HMGET', run_key(run, 'tests'), unpack(indices)) or {}
  local tries = {}
  if repeated > 0 then
    tries = redis.call('HMGET', run_key(run, 'tries'), unpack(indices, 1, repeated))
  end
  local untried = worker .. '|' .. fence .. '|1|0|' .. now_text .. '|' .. now_text
  local owners, leases, jobs, taken, found, tried, claimed = {}, {}, {}, {}, {}, {}, 0
  local prefix = run .. '/'
  for i, index in ipairs(indices) do
    -- A payload goes when its test gets a result, so a stale index is recognised by that and skipped.
    local is_test = i > repeated or (is_whole(index, 0) and tonumber(index) < tonumber(fields[FIELD.TOTAL]))
    if is_test and (payloads[i] or redis.call('HEXISTS', run_key(run, 'results'), index) == 0) then
      local owner = untried
      if i <= repeated then
        local attempts, lost, since, begun = string.match(tries[i] or '', '^(%d+)|(%d+)|(%d+)|(%d+)$')
        local attempt = (tonumber(attempts) or 0) + 1
        lost, begun = lost or '0', (attempt > 1 and begun) or now_text
        owner = worker .. '|' .. fence .. '|' .. attempt .. '|' .. lost .. '|' .. now_text .. '|' .. begun
        local known = #tried
        tried[known + 1], tried[known + 2], tried[known + 3], tried[known + 4] = attempt, lost, since or '', begun
      end
      local job = prefix .. index
      claimed = claimed + 1
      jobs[claimed], taken[claimed], found[claimed] = job, index, payloads[i] or ''
      local second = claimed * 2
      owners[second - 1], owners[second] = index, owner
      leases[second - 1], leases[second] = lease_until, job
    elseif shaped then
      leave_group(run, index)
    end
  end
  local vt, tenant_vt, endpoint_vt = charge(endpoint, tenant, claimed, fields, place)
  local fresh = next_index + (shaped and 0 or #indices - repeated)
  local known = #set
  set[known + 1], set[known + 2], set[known + 3], set[known + 4] = 'next', whole(fresh), 'fence', fence
  set[known + 5], set[known + 6] = 'vt', vt
  if fields[FIELD.STATE] == 'queued' then
    set[known + 7], set[known + 8], set[known + 9], set[known + 10] = 'state', 'progress', 'started_at', now_text
  end
  write_run(run, set)
  -- After the run knows that they are given out: when one of these keys is damaged, no test is given out twice for it.
  if claimed > 0 then
    redis.call('HSET', run_key(run, 'owners'), unpack(owners))
    redis.call('ZADD', key('leases'), unpack(leases))
    redis.call('SADD', worker_key(worker, 'jobs'), unpack(jobs))
    redis.call('SADD', endpoint_key(endpoint, 'slots'), unpack(jobs))
  end
  -- Also after stale indices were skipped: they took neither room nor slots. What was put aside for its group waits there.
  local tenant_waits, others_wait = true, true
  local is_done = room <= claimed or (shaped and redis.call('LLEN', run_key(run, 'again')) == 0)
  if not in_line then
    others_wait = false
    if not is_done then expect(wait_in_line(run, endpoint, tenant)) end
  elseif is_done then
    tenant_waits, others_wait = leave_line(run, endpoint, tenant)
  else
    local activated = finishes_first() and FINISH_FIRST + (tonumber(fields[FIELD.ACTIVATED_AT]) or 0)
    redis.call('ZADD', waiting_key(endpoint, tenant), activated and tostring(activated) or vt, run)
  end
  if in_line and tenant_waits then redis.call('ZADD', endpoint_key(endpoint, 'tenants'), 'XX', tenant_vt, tenant) end
  if others_wait then
    redis.call('ZADD', key('ready:endpoints'), 'XX', endpoint_vt, endpoint)
    if free_places <= claimed then expect(settle_place(endpoint)) end
  end
  local captured = mode == 'Sequential' and fields[FIELD.CAPTURED] or ''
  local released = fields[FIELD.RELEASED_AT] or fields[FIELD.ACTIVATED_AT] or now_text
  -- Consecutive ones are named by the first.
  local first = -1
  if repeated == 0 and claimed == #indices then first, taken = next_index, {} end
  return { run, mode, fence, captured, released, fields[FIELD.EPOCH] or '1', first, taken, found, tried, unmet }, claimed
end

-- How many tests of a run may be claimed now, and how many are waiting to run again. `stored`: its results, where they have been
-- counted.
local function room_of(run, fields, stored)
  local total, next_index, cap = tonumber(fields[FIELD.TOTAL]), tonumber(fields[FIELD.NEXT]), tonumber(fields[FIELD.CAP])
  local again = redis.call('LLEN', run_key(run, 'again'))
  local pending = again + total - next_index
  local held = redis.call('HLEN', run_key(run, 'owners'))
  local room = cap - held
  if fields[FIELD.MODE] == 'Sequential' then
    -- Test i+1 is released by the terminal result of test i, nothing else (SEQUENTIAL-ORDER).
    -- With as many results and waiting tests as were given out, none is held and none is delayed. Usually at most one
    -- waits; in a run that was reopened there may be more.
    stored = stored or redis.call('HLEN', run_key(run, 'results'))
    if stored + again < next_index then room = 0 end
  end
  if fields[FIELD.BUDGET] then room = math.min(room, affordable_requests(run, held)) end
  return math.min(room, pending), again
end

-- What a run has to give is added to `groups`, or it leaves its line. Answers how many tests.
local function claim_run(worker, endpoint, tenant, run, want, free_places, fields, groups, place, in_line, set, stored)
  if not is_open(fields[FIELD.STATE]) or fields[FIELD.ENDPOINT] ~= endpoint or (fields[FIELD.TENANT] or 'default') ~= tenant then
    if in_line then leave_line(run, endpoint, tenant) end
    return 0
  end
  -- Lua would go on with numbers that are none of ours; what is raised here is blamed on the run.
  if not (is_whole(fields[FIELD.TOTAL], 1) and is_whole(fields[FIELD.NEXT], 0) and is_whole(fields[FIELD.CAP], 1)
    and is_whole(fields[FIELD.LEASE_MS], 1)) then
    error('its numbers cannot be used')
  end
  local room, again = room_of(run, fields, stored)
  if room < 1 then
    -- Nothing to claim until something of this run ends.
    if in_line then leave_line(run, endpoint, tenant) end
    if fields[FIELD.BUDGET] then end_if_spent(run, endpoint) end
    return 0
  end
  local group, claimed = claim_from(worker, endpoint, tenant, run, math.min(want, free_places, room), fields, again,
    room, free_places, place, in_line, set or {})
  if claimed > 0 then groups[#groups + 1] = group end
  return claimed
end

-- One run of one endpoint is served. Answers how many tests were claimed, or nil when all that wait there are of another
-- version: they keep their place for a worker that knows it, and nothing of them is touched.
local function serve(worker, endpoint, want, groups, passed)
  local tenants = redis.call('ZRANGE', endpoint_key(endpoint, 'tenants'), 0, 0)
  if not tenants[1] then
    redis.call('ZREM', key('ready:endpoints'), endpoint)
    return 0
  end
  local place = read_place(endpoint, tenants[1])
  local room, at = admission(endpoint, place)
  if room < 1 then
    redis.call('ZREM', key('ready:endpoints'), endpoint)
    wake_at(endpoint, at)
    expect(at)
    return 0
  end
  local number = 1
  repeat
    local tenant, skipped = tenants[number], 0
    if number > 1 then place = read_place(endpoint, tenant) end
    while #passed < PASS_OVER_AT_MOST * 2 do
      local run = redis.call('ZRANGE', waiting_key(endpoint, tenant), skipped, skipped)[1]
      if not run then break end
      local fields = just_read[run] or redis.pcall('HMGET', run_key(run), unpack(RUN_FIELDS))
      just_read[run] = nil
      if fields.err then
        blame(run, fields)
        leave_line(run, endpoint, tenant)
        return 0
      end
      if not (is_open(fields[FIELD.STATE]) and (fields[FIELD.FORMAT] or FORMAT) ~= FORMAT) then
        local claimed = guarded(run, claim_run, worker, endpoint, tenant, run, want, room, fields, groups, place, true)
        if claimed == nil then leave_line(run, endpoint, tenant) end
        return claimed or 0
      end
      passed[#passed + 1], passed[#passed + 2] = run, fields[FIELD.FORMAT]
      skipped = skipped + 1
    end
    if skipped == 0 then
      redis.call('ZREM', endpoint_key(endpoint, 'tenants'), tenant)
      return 0
    end
    -- Only where something was passed over is there anything to see behind it.
    if number == 1 then tenants = redis.call('ZRANGE', endpoint_key(endpoint, 'tenants'), 0, PASS_OVER_AT_MOST) end
    number = number + 1
  until not tenants[number]
  return nil
end

-- A run that was about to wait in line, where nobody else waits for anything: it is served at once. That is every step of a
-- Sequential run on a quiet fleet. A `comer` is such a run, its endpoint and its tenant; where they are known, also what was
-- read of it and how many results it has, and what is still to be written to its hash (`set`). Answers how many tests were claimed.
local function serve_directly(worker, comer, want, groups)
  local run, endpoint, tenant = comer.run, comer.endpoint, comer.tenant
  local place = read_place(endpoint, tenant)
  local room = admission(endpoint, place)
  local fields = comer.fields or redis.call('HMGET', run_key(run), unpack(RUN_FIELDS))
  if room < 1 or (fields[FIELD.FORMAT] or FORMAT) ~= FORMAT then
    write_run(run, comer.set)
    expect(wait_in_line(run, endpoint, tenant))
    return 0
  end
  return claim_run(worker, endpoint, tenant, run, want, room, fields, groups, place, false, comer.set, comer.stored)
end
local function line_up(comer, soon)
  write_run(comer.run, comer.set)
  wait_in_line(comer.run, comer.endpoint, comer.tenant, soon)
end

-- Answers groups, the runs that were passed over, how many endpoints have nothing else, and whether it is known that nobody waits.
local function claim_tests(worker, want, comer)
  local groups, passed, looked, skipped = {}, {}, 0, 0
  local nobody_waits = false
  if comer then
    if want > 0 and redis.call('EXISTS', key('ready:endpoints')) == 0 then
      nobody_waits = true
      want = want - (guarded(comer.run, serve_directly, worker, comer, want, groups) or 0)
      -- Whatever came of it.
      guarded(comer.run, write_run, comer.run, comer.set)
    else
      guarded(comer.run, line_up, comer, want > 0)
    end
  end
  -- It was all there was.
  if nobody_waits and not offered then return groups, passed, skipped, true end
  while want > 0 and looked < LOOK_AT_MOST do
    local endpoint = redis.call('ZRANGE', key('ready:endpoints'), skipped, skipped)[1]
    if not endpoint then break end
    looked = looked + 1
    local sound, claimed = pcall(serve, worker, endpoint, want, groups, passed)
    if not sound then
      -- What raises here is the endpoint's own: work on a run is guarded.
      if not mend_endpoint(endpoint) then error(claimed) end
      claimed = 0
    end
    if claimed then want = want - claimed else skipped = skipped + 1 end
  end
  return groups, passed, skipped, false
end

-- One worker looks again when something becomes claimable by time, not all that are idle; the look for the whole fleet
-- (`tick`) finds it when that worker is gone by then. Answers after how many µs this one has to look, or -1. One that has no
-- more room leaves it to another.
local ALARM_SLACK_US = 1000
local function set_alarm(worker, has_room)
  if not soonest then return -1 end
  local at = math.ceil(soonest * 1000)
  local holder, set_for = unpack(redis.call('HMGET', key('alarm'), 'worker', 'at'))
  set_for = tonumber(set_for)
  if holder ~= worker and set_for and set_for > now_us and set_for <= at + ALARM_SLACK_US then return -1 end
  if not has_room then
    if holder == worker then redis.call('DEL', key('alarm')) end
    ring()
    return -1
  end
  if holder ~= worker or set_for ~= at then redis.call('HSET', key('alarm'), 'worker', worker, 'at', whole(at)) end
  return math.max(0, at - now_us)
end

-- A worker that is not registered, or that has since begun a new epoch, gets nothing: the claim may come from
-- a connection it has already given up.
local function may_claim(worker, epoch)
  local known = redis.call('HGET', worker_key(worker), 'epoch')
  if known == epoch then return 'ok' end
  if not known or not redis.call('ZSCORE', key('workers'), worker) then return 'unregistered' end
  return 'stale'
end

-- { word, now_ms, next_due_us, {job, fence, attempt, …}, {run passed over, its format, …}, group… }, where a group is
-- { run, mode, fence, captured, released_ms, epoch, first index or -1, {index, …} when it is -1, {payload, …},
-- {attempt, lost, released_ms or '', begun_ms, …}, {index, index of a dependency that did not pass, …} }: the list of attempts is
-- about the first members, those that have been tried before.
local function claim(worker, epoch, want_tests, want_control, comer)
  local word = may_claim(worker, epoch)
  if word ~= 'ok' then
    -- What a `complete` has freed is for others.
    if comer then guarded(comer.run, line_up, comer) end
    if redis.call('EXISTS', key('ready:endpoints')) == 1 then ring() end
    return { word, now, -1, {}, {} }
  end
  -- One look at what there usually is nothing of.
  quiet = redis.call('EXISTS', key('control'), key('mails'), key('delayed'), key('wakes'), key('fleet'),
    key('tenants')) == 0
  local control, fleet = {}, UNBOUNDED
  if quiet then
    no_fleet_settings()
  else
    if want_tests > 0 then
      promote_due()
      wake_those_due()
    end
    control = claim_control(worker, want_control)
    local fleet_at
    fleet, fleet_at = fleet_room()
    expect(fleet_at)
  end
  local groups, passed, skipped, nobody_waits = claim_tests(worker, math.min(want_tests, fleet), comer)
  local claimed = 0
  for _, group in ipairs(groups) do claimed = claimed + #group[9] end
  local wait = -1
  if want_tests > 0 then wait = set_alarm(worker, claimed < want_tests)
  elseif want_control > 0 and #control < want_control * 3 then wait = set_alarm(worker, true) end
  -- Whoever leaves work behind passes the token on; not one that had no room for it or does not know it, or it would
  -- wake itself; nor while the fleet is full, which whoever frees a place finds out.
  if quiet and nobody_waits then return { 'ok', now, wait, control, passed, unpack(groups) } end
  if want_tests > 0 and fleet > want_tests and redis.call('ZCARD', key('ready:endpoints')) > skipped then ring()
  elseif want_control > 0 and #control == want_control * 3
    and redis.call('ZCOUNT', key('control'), '-inf', now_text) + redis.call('ZCOUNT', key('mails'), '-inf', now_text) > 0 then
    ring()
  end
  return { 'ok', now, wait, control, passed, unpack(groups) }
end
--@call
soonest, quiet, just_read = nil, false, {}
