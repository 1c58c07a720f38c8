-- What all runs share: every entry of an index belongs to something that says the same. Entries are looked at a chunk at a
-- time, each in the step that reads it.
local function drop_member(index, entry) return function() redis.call('ZREM', key(index), entry) end end

-- A run that cannot be read has a finding of its own.
local function state_of(run)
  local state = redis.pcall('HGET', run_key(run), 'state')
  return type(state) == 'table' and 'damaged' or state
end

-- Whether a key can be read. A wrong one makes room; what it held is found again by way of the runs.
local function is_readable(name, expected, label, mend)
  local kind = type_of(name)
  if kind == expected or kind == 'none' then return true end
  report('wrong-type', label, 'it is a ' .. kind .. ' and not a ' .. expected, mend or function() set_aside(name) end)
  return false
end

local EXAMINE = {}

EXAMINE['ready:endpoints'] = function(endpoint)
  if redis.call('EXISTS', endpoint_key(endpoint, 'tenants')) == 0 then
    report('place-wrong', endpoint, 'it is offered and nobody waits there', drop_member('ready:endpoints', endpoint))
  end
end

function EXAMINE.wakes(endpoint)
  if redis.call('EXISTS', endpoint_key(endpoint, 'tenants')) == 0 then
    report('place-wrong', endpoint, 'it is to be offered later and nobody waits there', drop_member('wakes', endpoint))
  end
end

function EXAMINE.paused(run)
  local state = state_of(run)
  -- A run that is tried again may be paused before it is opened.
  if not is_open(state) and state ~= 'reopening' then
    report('place-wrong', run, 'it is paused and is ' .. (state or 'gone'), drop_member('paused', run))
  end
end

-- The runs of one tenant at an endpoint; `owner` is both, as `tenant@endpoint`.
function EXAMINE.waiting(run, owner)
  local tenant, endpoint = string.match(owner, '^([^@]*)@(.*)$')
  local state = state_of(run)
  local place = is_open(state) and redis.call('HMGET', run_key(run), 'endpoint', 'tenant') or {}
  if place[1] ~= endpoint or (place[2] or 'default') ~= tenant then
    report('place-wrong', run, 'it waits at ' .. endpoint .. ' for ' .. tenant .. ' and is ' .. (state or 'gone'), function()
      leave_line(run, endpoint, tenant)
    end)
  elseif redis.call('ZSCORE', key('paused'), run) then
    report('place-twice', run, 'it is paused and waits to be claimed from', function() leave_line(run, endpoint, tenant) end)
  end
end

function EXAMINE.tenants(tenant, endpoint)
  if redis.call('EXISTS', waiting_key(endpoint, tenant)) == 0 then
    report('place-wrong', tenant .. '@' .. endpoint, 'it is to be served there and no run of it waits', function()
      leave_line('', endpoint, tenant)
    end)
  end
end

function EXAMINE.lingering(entry, endpoint)
  local job = string.match(entry, '^(.*)|%d+$')
  if job and split_job(job) then return end
  report('slot-orphan', entry, 'it takes a place of ' .. (endpoint == '' and 'the fleet' or endpoint) .. ' and is no call', function()
    if endpoint == '' then
      redis.call('ZREM', key('lingering'), entry)
    else
      redis.call('ZREM', endpoint_key(endpoint, 'lingering'), entry)
      offer(endpoint)
    end
  end)
end

function EXAMINE.slots(job, endpoint)
  local owner, run = owner_of(job)
  if not owner or not run or redis.pcall('HGET', run_key(run), 'endpoint') ~= endpoint then
    report('slot-orphan', job, 'nobody holds it and it takes a slot of ' .. endpoint, function()
      redis.call('SREM', endpoint_key(endpoint, 'slots'), job)
      offer(endpoint)
    end)
  end
end

function EXAMINE.jobs(job, worker)
  local owner = owner_of(job)
  if not owner or owner.worker ~= worker then
    report('job-orphan', job, worker .. ' is listed with it and does not hold it', function()
      redis.call('SREM', worker_key(worker, 'jobs'), job)
    end)
  end
end

function EXAMINE.delayed(job)
  local run, index = split_job(job)
  local state = run and state_of(run)
  if not state or ENDED[state] or state == 'preparing' then
    report('delayed-orphan', job, 'it waits for another attempt and its run is ' .. (state or 'gone'),
      drop_member('delayed', job))
  elseif redis.pcall('HEXISTS', run_key(run, 'results'), index) == 1 then
    report('test-twice', job, 'it waits for another attempt and has its result', drop_member('delayed', job))
  elseif redis.pcall('HEXISTS', run_key(run, 'owners'), index) == 1 then
    report('test-twice', job, 'it waits for another attempt and is held', drop_member('delayed', job))
  end
end

function EXAMINE.leases(job)
  if not owner_of(job) then
    report('lease-orphan', job, 'nobody holds it', drop_member('leases', job))
  end
end

function EXAMINE.workers(worker)
  if not is_readable(worker_key(worker), 'hash', 'worker ' .. worker) then return end
  if not is_whole(redis.call('HGET', worker_key(worker), 'epoch'), 1) then
    -- Its claims are of an older epoch then, and it reconciles what it holds.
    report('worker-record-missing', worker, 'it is registered without an epoch, so it is given nothing', function()
      redis.call('HSET', worker_key(worker), 'epoch', next_fence(nil))
    end)
  end
end

-- A worker that is known by its keys only.
function EXAMINE.worker(worker)
  if redis.call('ZSCORE', key('workers'), worker) then return end
  if redis.call('EXISTS', worker_key(worker), worker_key(worker, 'jobs')) > 0 then
    report('worker-unlisted', worker, 'it has a record or jobs and nobody watches its lease', function()
      redis.call('ZADD', key('workers'), 'NX', now_text, worker)
    end)
  end
end

local function examine_lane(job, name)
  local kind, run = string.match(job, '^(%a+):(.*)$')
  if redis.call('HEXISTS', key('control:owners'), job) == 1 then
    report('control-twice', job, 'it is held and can be claimed', drop_member(name, job))
  elseif (kind == 'collect' or kind == 'notify') and lane(job) ~= key(name) then
    report('control-orphan', job, 'it is in the lane of others', drop_member(name, job))
  elseif kind == 'collect' and state_of(run) ~= 'collecting' then
    report('control-orphan', job, 'its run is ' .. (state_of(run) or 'gone'), function() forget_control(job) end)
  elseif kind == 'notify' and redis.call('HEXISTS', key('outbox'), run) == 0 then
    report('control-orphan', job, 'there is no mail of that run in the outbox', function() forget_control(job) end)
  end
end

function EXAMINE.control(job) examine_lane(job, 'control') end
function EXAMINE.mails(job) examine_lane(job, 'mails') end

EXAMINE['control:owners'] = function(job)
  local owner = owner_of(job)
  if not owner then
    report('owner-unreadable', job, 'its owner entry cannot be read', function()
      redis.call('HDEL', key('control:owners'), job)
      redis.call('ZADD', lane(job), now_text, job)
    end)
  else
    examine_holding(job, owner, 60000)
  end
end

EXAMINE['control:attempts'] = function(job)
  if not in_lane(job) and redis.call('HEXISTS', key('control:owners'), job) == 0 then
    report('attempts-orphan', job, 'attempts are counted of a job that is not there', function()
      redis.call('HDEL', key('control:attempts'), job)
    end)
  end
end

function EXAMINE.outbox(run)
  if redis.call('EXISTS', run_key(run)) == 0 then
    report('outbox-orphan', run, 'the mail of a run that is gone', function()
      redis.call('HDEL', key('outbox'), run)
      forget_control('notify:' .. run)
    end)
    return
  end
  local job = 'notify:' .. run
  if not in_lane(job) and redis.call('HEXISTS', key('control:owners'), job) == 0 then
    report('notification-missing', job, 'its mail is in the outbox and nobody will deliver it', function()
      redis.call('ZADD', lane(job), now_text, job)
      ring()
    end)
  end
end

function EXAMINE.dead(job)
  if redis.call('HEXISTS', key('dead:jobs'), job) == 0 then
    report('dead-record-missing', job, 'it was given up and there is no record of it', function()
      redis.call('HSET', key('dead:jobs'), job, cjson.encode({ reason = 'the record was lost', payload = '' }))
    end)
  end
end

EXAMINE['dead:jobs'] = function(job)
  if not redis.call('ZSCORE', key('dead'), job) then
    report('dead-unlisted', job, 'a record of a job given up that no list shows', function()
      redis.call('ZADD', key('dead'), now_text, job)
    end)
  end
end

function EXAMINE.deadlines(run)
  if not state_of(run) then
    report('deadline-left', run, 'the run is gone and the sweeper looks at it', drop_member('deadlines', run))
  end
end

function EXAMINE.endpoint(endpoint)
  local mend = function() mend_endpoint(endpoint) end
  local sound = is_readable(endpoint_key(endpoint), 'hash', 'limits of ' .. endpoint, mend)
  sound = is_readable(endpoint_key(endpoint, 'tenants'), 'zset', 'tenants of ' .. endpoint, mend) and sound
  sound = is_readable(endpoint_key(endpoint, 'lingering'), 'zset', 'lingering calls of ' .. endpoint, mend) and sound
  is_readable(endpoint_key(endpoint, 'history'), 'list', 'history of ' .. endpoint, mend)
  sound = is_readable(endpoint_key(endpoint, 'slots'), 'set', 'slots of ' .. endpoint, mend) and sound
  if not redis.call('ZSCORE', key('endpoints'), endpoint)
    and redis.call('EXISTS', endpoint_key(endpoint), endpoint_key(endpoint, 'tenants'), endpoint_key(endpoint, 'slots')) > 0 then
    report('endpoint-unlisted', endpoint, 'it has keys that nobody would forget', function()
      redis.call('ZADD', key('endpoints'), 'NX', now_text, endpoint)
    end)
  end
  if not sound then return end
  local limit = redis.call('HGET', endpoint_key(endpoint), 'max_concurrency')
  if limit and not is_whole(limit, 1) then
    report('limit-unreadable', endpoint, 'its max_concurrency is no number', function()
      redis.call('HSET', endpoint_key(endpoint), 'max_concurrency', '1')
    end)
    return
  end
  for _, tenant in ipairs(redis.call('ZRANGE', endpoint_key(endpoint, 'tenants'), 0, -1)) do
    if not is_readable(waiting_key(endpoint, tenant), 'zset', tenant .. ' waiting at ' .. endpoint, mend) then return end
  end
  -- Runs that wait where there is room are found by those who look for work only if somebody offers the endpoint.
  if redis.call('EXISTS', endpoint_key(endpoint, 'tenants')) == 1 and not redis.call('ZSCORE', key('ready:endpoints'), endpoint) then
    local room, at, word = admission(endpoint)
    local wakes = tonumber(redis.call('ZSCORE', key('wakes'), endpoint))
    -- One that is due is offered by whoever claims next.
    if (room >= 1 and not (wakes and wakes <= now + 1)) or (at and not wakes) then
      report('turn-missing', endpoint, 'runs wait, and nobody is offered it' .. (word and ' when ' .. word .. ' allows' or ''),
        function()
          offer(endpoint)
          ring()
        end)
    end
  end
end

EXAMINE['quarantine:reasons'] = function(run)
  if not redis.call('ZSCORE', key('quarantine'), run) then
    report('quarantine-orphan', run, 'a reason is recorded and the run is not set aside', function()
      redis.call('HDEL', key('quarantine:reasons'), run)
    end)
  end
end

function EXAMINE.configs(id)
  if redis.call('EXISTS', key('config:' .. id)) == 0 then
    report('configuration-lost', id, 'it is listed and not stored', drop_member('configs', id))
  end
end

-- A stored configuration that is known by its key only.
function EXAMINE.config(id)
  if not redis.call('ZSCORE', key('configs'), id) and redis.call('EXISTS', key('config:' .. id)) == 1 then
    report('configuration-unlisted', id, 'it is stored and no list shows it', function()
      local updated = redis.call('HGET', key('config:' .. id), 'updated_at')
      redis.call('ZADD', key('configs'), is_whole(updated, 0) and updated or now_text, id)
    end)
  end
end

function EXAMINE.baselines(name)
  if redis.call('EXISTS', key('baseline:' .. name)) == 0 then
    report('baseline-lost', name, 'it is listed and not stored', drop_member('baselines', name))
  end
end

-- A baseline that is known by its key only.
function EXAMINE.baseline(name)
  if not redis.call('ZSCORE', key('baselines'), name) and redis.call('EXISTS', key('baseline:' .. name)) == 1 then
    report('baseline-unlisted', name, 'it is stored and no list shows it', function()
      local stored = redis.call('HGET', key('baseline:' .. name), 'stored_at')
      redis.call('ZADD', key('baselines'), is_whole(stored, 0) and stored or now_text, name)
    end)
  end
end

function EXAMINE.submission(id)
  local name = key('submission:' .. id)
  if redis.call('TTL', name) == -1 then
    report('expiry-missing', name, 'an idempotency key that never expires', function()
      redis.call('PEXPIRE', name, 86400000)
    end)
  end
end

-- How far ahead anything of a model may be: the longest time of a rate is a day, and calls take less.
local FARTHEST_MS = 7 * 86400000

-- Calls of a model in flight.
local function examine_calls(model, calls)
  if not is_readable(calls, 'zset', 'calls of the model ' .. model) or redis.call('EXISTS', calls) == 0 then return end
  local far = '(' .. whole(now + FARTHEST_MS)
  local held = redis.call('ZCOUNT', calls, far, '+inf')
  if held > 0 then
    report('model-held', model, held .. ' places of it end in more than a week', function()
      redis.call('ZREMRANGEBYSCORE', calls, far, '+inf')
    end)
  elseif redis.call('PTTL', calls) == -1 then
    local last = tonumber(redis.call('ZRANGE', calls, -1, -1, 'WITHSCORES')[2])
    report('expiry-missing', calls, 'places of a model that never expire', function()
      redis.call('PEXPIRE', calls, whole(math.max(1, math.ceil(last - now))))
    end)
  end
end

-- Its hold and its rate.
local function examine_model_state(model, state)
  if not is_readable(state, 'hash', 'state of the model ' .. model) or redis.call('EXISTS', state) == 0 then return end
  local until_ms = now
  for field, to_ms in pairs({ hold_until = 1, tat = 1000 }) do
    local value = redis.call('HGET', state, field)
    local at = value and string.match(value, '^%d+%.?%d*$') and tonumber(value) / to_ms
    local drop = function() redis.call('HDEL', state, field) end
    if value and not at then
      report('model-unreadable', model .. ' ' .. field, 'it is no number', drop)
    elseif at and at > now + FARTHEST_MS then
      report('model-held', model .. ' ' .. field, 'nobody calls it for more than a week', drop)
    elseif at then
      until_ms = math.max(until_ms, at)
    end
  end
  if redis.call('PTTL', state) == -1 then
    report('expiry-missing', state, 'the state of a model that never expires', function()
      redis.call('PEXPIRE', state, whole(math.max(1, math.ceil(until_ms - now))))
    end)
  end
end

function EXAMINE.model(model)
  examine_calls(model, key('model:' .. model .. ':calls'))
  examine_model_state(model, key('model:' .. model .. ':state'))
end

local SHARED_TYPES = { ['ready:endpoints'] = 'zset', wakes = 'zset', tenants = 'hash', fleet = 'hash', alarm = 'hash', lingering = 'zset', paused = 'zset', delayed = 'zset', leases = 'zset', workers = 'zset',
  control = 'zset', mails = 'zset', ['control:owners'] = 'hash', ['control:attempts'] = 'hash', outbox = 'hash',
  dead = 'zset', ['dead:jobs'] = 'hash', deadlines = 'zset', runs = 'zset', endpoints = 'zset', quarantine = 'zset',
  ['quarantine:reasons'] = 'hash', configs = 'zset', baselines = 'zset', clock = 'string', fence = 'string', bell = 'list', reaper = 'hash',
  sweeper = 'hash' }

local function page_of(name, kind, cursor, count)
  if kind == 'zset' then
    local from = tonumber(cursor)
    local entries = redis.call('ZRANGE', name, from, from + count - 1)
    return #entries < count and '0' or whole(from + count), entries
  end
  local page = redis.call(kind == 'set' and 'SSCAN' or 'HSCAN', name, cursor, 'COUNT', count)
  if kind == 'set' then return page[1], page[2] end
  local entries = {}
  for i = 1, #page[2], 2 do entries[#entries + 1] = page[2][i] end
  return page[1], entries
end

-- Answers where to go on (`0` at the end) and the entries looked at.
local function examine_index(index, owner, cursor, count)
  local name, kind = key(index), SHARED_TYPES[index]
  if owner ~= '' and (index == 'tenants' or index == 'lingering') then name, kind = endpoint_key(owner, index), 'zset'
  elseif index == 'waiting' then
    local tenant, endpoint = string.match(owner, '^([^@]*)@(.*)$')
    name, kind = waiting_key(endpoint, tenant), 'zset'
  elseif index == 'slots' then name, kind = endpoint_key(owner, 'slots'), 'set'
  elseif index == 'jobs' then name, kind = worker_key(owner, 'jobs'), 'set'
  elseif not kind then
    EXAMINE[index](owner)
    return '0', {}
  end
  if type_of(name) ~= kind then
    -- Those of an endpoint are looked at with it: they belong together.
    if index ~= 'waiting' and index ~= 'slots' and (owner == '' or (index ~= 'tenants' and index ~= 'lingering')) then is_readable(name, kind, owner == '' and index or index .. ' of ' .. owner) end
    return '0', {}
  end
  if kind == 'string' or kind == 'list' or index == 'reaper' or index == 'sweeper' or index == 'fleet'
    or index == 'alarm' or (index == 'tenants' and owner == '') then return '0', {} end
  local next_cursor, entries = page_of(name, kind, cursor, count)
  local check = EXAMINE[index]
  if check then
    for _, entry in ipairs(entries) do check(entry, owner) end
  end
  return next_cursor, entries
end
