-- One run: its parts, its counts, where it is and where its tests are. The work is bounded by what is in flight and what
-- was tried; that every test is somewhere is told from the counts, and looked for one by one only when they differ.
local needs_tests_looked_at

local function serious(code, detail, run, retention)
  report(code, run, detail, function()
    quarantine(run, detail)
    repair_run(run, retention)
  end)
end

local function examine_lifetimes(run, state, retention)
  local ended = ENDED[state]
  for _, part in ipairs({ 'config', 'tests', 'kept', 'again', 'tries', 'owners', 'results', 'countdown', 'summary', 'needs',
    'waits', 'unmet', 'dependents', 'groups', 'grouped', 'dialogues' }) do
    local ttl = redis.call('PTTL', run_key(run, part))
    if ttl == -1 and ended then
      report('expiry-missing', part, 'the run has ended and its ' .. part .. ' never expire', function()
        redis.call('PEXPIRE', run_key(run, part), retention)
      end)
    elseif ttl >= 0 and not ended then
      report('expiry-early', part, 'the run has not ended and its ' .. part .. ' expire', function()
        redis.call('PERSIST', run_key(run, part))
      end)
    end
  end
  local ttl = redis.call('PTTL', run_key(run))
  if ttl == -1 and ended then
    report('expiry-missing', 'the run', 'it has ended and never expires', function()
      redis.call('PEXPIRE', run_key(run), retention)
    end)
  elseif ttl >= 0 and not ended then
    report('expiry-early', 'the run', 'it has not ended and expires', function() redis.call('PERSIST', run_key(run)) end)
  end
end

local function examine_counts(run, fields)
  local sum, wrong = 0, nil
  for i, name in ipairs(COUNTS) do
    local value = fields[i]
    if value and not is_whole(value, 0) then wrong = name .. ' is no number'
    elseif value and name ~= 'discarded' then sum = sum + tonumber(value) end
  end
  local done = redis.call('HLEN', run_key(run, 'results'))
  if wrong or sum ~= done then
    -- Mended by whoever reads the results: they are too much for one step.
    report('counts-wrong', 'counts', wrong or ('they add up to ' .. sum .. ', ' .. done .. ' results are stored'),
      function() drop_wrong_counts(run) end)
  end
end

-- Where dialogues are: of tests that were begun and have no result.
local function examine_dialogues(run, known)
  if redis.call('EXISTS', run_key(run, 'dialogues')) == 0 then return end
  if not known then
    report('field-missing', 'dialogues', 'the run has dialogues and does not say so', function()
      redis.call('HSET', run_key(run), 'dialogues', '1')
    end)
  end
  each_field(run_key(run, 'dialogues'), function(index)
    if redis.call('HEXISTS', run_key(run, 'results'), index) == 0 then return end
    report('dialogue-left', job_id(run, index), 'it has its result and where its dialogue was is still there', function()
      redis.call('HDEL', run_key(run, 'dialogues'), index)
    end)
  end)
end

-- A field that every run of this state has, and that can be given a value without changing what the run does.
local function examine_field(run, name, value, replacement)
  if value then return end
  report('field-missing', name, 'the run has no ' .. name, function()
    redis.call('HSETNX', run_key(run), name, replacement)
  end)
end

-- Nobody knows them any more once they are gone.
local function examine_irreplaceable(run, endpoint)
  if redis.call('EXISTS', run_key(run, 'config')) == 0 then
    report('field-missing', 'config', 'the configuration of the run is gone')
  end
  if not endpoint then report('field-missing', 'endpoint', 'the run has no endpoint') end
end

local function mode_in_summary(run)
  local readable, summary = pcall(cjson.decode, redis.call('GET', run_key(run, 'summary')) or '')
  local mode = readable and type(summary) == 'table' and summary.execution_mode
  return mode == 'Sequential' and mode or 'Parallel'
end

-- What a run tells of itself in every state.
local function examine_told(run, fields)
  examine_field(run, 'name', fields.name, name_in_config(run))
  examine_field(run, 'weight', fields.weight, '1')
  examine_field(run, 'created_at', fields.created_at, redis.call('ZSCORE', key('runs'), run) or now_text)
  if fields.total then examine_field(run, 'activated_at', fields.activated_at, fields.created_at or now_text) end
end

-- Where an open run waits: in line at its endpoint, or in `paused`, when it could be claimed from.
local function examine_place(run, endpoint, claimable)
  local tenant = tenant_of(run)
  local waits, is_paused = redis.call('ZSCORE', waiting_key(endpoint, tenant), run), redis.call('ZSCORE', key('paused'), run)
  if is_paused and waits then
    report('place-twice', 'the run', 'it is paused and waits to be claimed from', function() displace(run, endpoint) end)
  elseif claimable and not (waits or is_paused) then
    report('place-missing', 'the run', 'tests of it could be claimed and it waits nowhere', function()
      place(run, endpoint)
      ring()
    end)
  elseif waits and not redis.pcall('ZSCORE', endpoint_key(endpoint, 'tenants'), tenant) then
    -- A key of another type is answered with an error, and found with the endpoint.
    report('turn-missing', tenant .. '@' .. endpoint, 'runs wait there, and it is not to be served', function()
      redis.call('ZADD', endpoint_key(endpoint, 'tenants'), 'NX', 0, tenant)
      offer(endpoint)
      ring()
    end)
  end
end

-- Tests that are held, with everything that belongs to that. Answers how many, and which.
local function examine_owners(run, endpoint, lease_ms)
  local held, count = {}, 0
  each_field(run_key(run, 'owners'), function(index, entry)
    if held[index] then return end
    held[index], count = true, count + 1
    local job, owner = job_id(run, index), read_owner(entry)
    if not owner then
      report('owner-unreadable', job, 'its owner entry cannot be read', function()
        redis.call('HDEL', run_key(run, 'owners'), index)
      end)
      return
    end
    examine_holding(job, owner, lease_ms)
    if not owner.answered and redis.call('SISMEMBER', endpoint_key(endpoint, 'slots'), job) == 0 then
      report('slot-missing', job, 'held without a slot of its endpoint', function()
        redis.call('SADD', endpoint_key(endpoint, 'slots'), job)
      end)
    end
    if redis.call('HEXISTS', run_key(run, 'results'), index) == 1 then
      report('test-twice', job, 'held although it has its result', function()
        free(run, index, owner.worker, endpoint)
        offer(endpoint)
      end)
    end
  end)
  return count, held
end

local function examine_again(run, held, next_index)
  local waiting, count = {}, 0
  for _, index in ipairs(redis.call('LRANGE', run_key(run, 'again'), 0, -1)) do
    local job = job_id(run, index)
    local reason
    if waiting[index] then reason = 'it waits twice'
    elseif held[index] then reason = 'it waits and is held'
    elseif not is_whole(index, 0) or tonumber(index) >= next_index then reason = 'it waits before its turn'
    elseif redis.call('HEXISTS', run_key(run, 'results'), index) == 1 then reason = 'it waits although it has its result' end
    if reason then
      report('test-twice', job, reason, function() redis.call('LREM', run_key(run, 'again'), -1, index) end)
    else
      count = count + 1
    end
    waiting[index] = true
  end
  return count, waiting
end

local function examine_countdown(run, endpoint, state, total, done)
  local countdown = redis.call('GET', run_key(run, 'countdown'))
  if countdown ~= whole(total - done) then
    report('countdown-wrong', 'countdown', 'it is ' .. string.sub(tostring(countdown or 'gone'), 1, 20) .. ', ' ..
      (total - done) .. ' tests have no result', function() write_countdown(run, total) end)
  end
  if done > total then
    report('result-foreign', 'results', done .. ' results are stored, the run has ' .. total .. ' tests', function()
      drop_foreign_results(run, total)
      write_countdown(run, total)
    end)
  end
  if done >= total and (state == 'queued' or state == 'progress') then
    report('collection-missing', 'the run', 'every test has its result and the run is not being collected', function()
      begin_collection(run, endpoint, nil)
    end)
  end
end

local function examine_deadline(run, fallback_ms)
  if redis.call('ZSCORE', key('deadlines'), run) then return end
  report('deadline-missing', 'the run', 'the sweeper does not know when to look at it', function()
    redis.call('ZADD', key('deadlines'), whole(now + fallback_ms), run)
  end)
end

local function examine_open(run, state, fields)
  local endpoint, total, next_index = fields.endpoint, tonumber(fields.total), tonumber(fields.next)
  local done = redis.call('HLEN', run_key(run, 'results'))
  local held_count, held = examine_owners(run, endpoint, tonumber(fields.lease_ms))
  local again_count = examine_again(run, held, next_index)
  if held_count > tonumber(fields.cap) then
    report('cap-exceeded', 'the run', held_count .. ' tests are held, at most ' .. fields.cap .. ' should be')
  end
  local elsewhere = next_index - again_count - held_count - done
  if fields.shaped then elsewhere = elsewhere - count_shaped(run, fields.mode) end
  if elsewhere ~= 0 and elsewhere ~= count_delayed(run) then needs_tests_looked_at = true end
  if redis.call('HLEN', run_key(run, 'tests')) + done ~= total then needs_tests_looked_at = true end
  -- The latest deadline against its endpoint is the run's own, or after it.
  local latest = tonumber(redis.call('ZSCORE', key('endpoints'), endpoint))
  if not latest then
    report('endpoint-unlisted', endpoint, 'a run uses it and the sweeper may forget its limits', function()
      redis.call('ZADD', key('endpoints'), 'NX', redis.call('ZSCORE', key('deadlines'), run) or whole(now + 3600000), endpoint)
    end)
  end
  examine_deadline(run, latest and math.max(0, latest - now) or 3600000)
  examine_countdown(run, endpoint, state, total, done)
  if state == 'reopening' then return end
  local claimable = again_count + total - next_index > 0 and held_count < tonumber(fields.cap)
  if fields.mode == 'Sequential' and done + again_count < next_index then claimable = false end
  if fields.budget and affordable_requests(run, held_count) < 1 then claimable = false end
  examine_place(run, endpoint, claimable)
  if state == 'progress' then
    examine_field(run, 'started_at', fields.started_at, fields.activated_at or now_text)
    examine_field(run, 'fence', fields.fence, whole(now_us))
    examine_field(run, 'vt', fields.vt, '0')
  end
  if fields.mode == 'Sequential' and done > 0 and not fields.epoch then
    examine_field(run, 'released_at', fields.released_at, now_text)
  end
end

local function examine_unplaced(run, endpoint, state)
  if redis.call('ZSCORE', waiting_key(endpoint, tenant_of(run)), run)
    or (state ~= 'reopening' and redis.call('ZSCORE', key('paused'), run)) then
    report('place-wrong', 'the run', 'it waits to be claimed from and is ' .. state, function()
      displace(run, endpoint)
      if state ~= 'reopening' then redis.call('ZREM', key('paused'), run) end
    end)
  end
end

-- The collection of a run: queued or held, while it is `collecting` and only then.
local function examine_collection(run, state)
  local job = 'collect:' .. run
  local queued = redis.call('ZSCORE', key('control'), job)
  local held = redis.call('HGET', key('control:owners'), job)
  if state ~= 'collecting' then
    if queued or held then
      report('collection-unwanted', job, 'the run is ' .. state, function() forget_control(job) end)
    end
  elseif not queued and not held then
    report('collection-missing', job, 'nobody has it and nobody can take it', function()
      redis.call('ZADD', key('control'), now_text, job)
      ring()
    end)
  end
end

local function examine_collecting(run, fields)
  local total, done = tonumber(fields.total), redis.call('HLEN', run_key(run, 'results'))
  examine_owners(run, fields.endpoint, tonumber(fields.lease_ms))
  if redis.call('HLEN', run_key(run, 'tests')) + done ~= total and not fields.damage then needs_tests_looked_at = true end
  examine_deadline(run, 30000)
  examine_countdown(run, fields.endpoint, 'collecting', total, done)
  examine_field(run, 'collecting_at', fields.collecting_at, now_text)
  if not fields.damage then examine_irreplaceable(run, fields.endpoint) end
end

local function examine_notification(run, mail)
  local job = 'notify:' .. run
  local queued = redis.call('ZSCORE', key('mails'), job)
  local held = redis.call('HGET', key('control:owners'), job)
  local record = redis.call('HEXISTS', key('outbox'), run) == 1
  if record and not queued and not held then
    report('notification-missing', job, 'its mail is in the outbox and nobody will deliver it', function()
      redis.call('ZADD', key('mails'), now_text, job)
      ring()
    end)
  elseif not record and (queued or held) then
    report('outbox-missing', job, 'a mail is to be delivered and the outbox does not have it', function()
      forget_control(job)
      redis.call('HSET', run_key(run), 'mail', 'dead', 'mail_error', 'the outbox record was lost')
    end)
  elseif not record and mail == 'queued' then
    report('outbox-missing', job, 'its mail is queued and the outbox does not have it', function()
      redis.call('HSET', run_key(run), 'mail', 'dead', 'mail_error', 'the outbox record was lost')
    end)
  elseif record and mail ~= 'queued' then
    report('field-missing', 'mail', 'its mail is in the outbox and the run does not say so', function()
      redis.call('HSET', run_key(run), 'mail', 'queued')
    end)
  end
end

local function examine_ended(run, fields)
  if redis.call('ZSCORE', key('deadlines'), run) then
    report('deadline-left', 'the run', 'it has ended and the sweeper looks at it', function()
      redis.call('ZREM', key('deadlines'), run)
    end)
  end
  local leftovers = {}
  for _, part in ipairs({ 'tests', 'again', 'tries', 'owners', 'dialogues' }) do
    if redis.call('EXISTS', run_key(run, part)) == 1 then leftovers[#leftovers + 1] = part end
  end
  if #leftovers > 0 then
    report('leftover', table.concat(leftovers, ', '), 'the run has ended', function()
      if fields.endpoint then free_holders(run, fields.endpoint) end
      redis.call('UNLINK', run_key(run, 'tests'), run_key(run, 'again'), run_key(run, 'tries'), run_key(run, 'owners'),
        run_key(run, 'dialogues'))
    end)
  end
  if not fields.total and redis.call('EXISTS', run_key(run, 'summary')) == 1 then
    examine_field(run, 'total', nil, whole(redis.call('HLEN', run_key(run, 'results'))))
  elseif fields.total then
    local done = redis.call('HLEN', run_key(run, 'results'))
    if whole(done) ~= fields.total then
      report('result-lost', 'results', done .. ' results are stored, the run had ' .. fields.total .. ' tests')
    end
    if redis.call('EXISTS', run_key(run, 'summary')) == 0 then
      report('summary-missing', 'summary', 'the run has ended without one')
    end
    examine_notification(run, fields.mail)
    if done == tonumber(fields.total) and redis.call('GET', run_key(run, 'countdown')) ~= '0' then
      report('countdown-wrong', 'countdown', 'every test has its result and it is not 0', function()
        write_countdown(run, done)
        redis.call('PEXPIRE', run_key(run, 'countdown'), math.max(1, redis.call('PTTL', run_key(run))))
      end)
    end
    -- What the run needs to be opened again.
    examine_field(run, 'next', fields.next, fields.total)
    examine_field(run, 'cap', fields.cap, '1')
    examine_field(run, 'lease_ms', fields.lease_ms, '60000')
    examine_field(run, 'mode', fields.mode, mode_in_summary(run))
    examine_irreplaceable(run, fields.endpoint)
    examine_told(run, fields)
  end
end

local FIELDS = { 'state', 'mode', 'total', 'next', 'cap', 'endpoint', 'lease_ms', 'name', 'weight', 'created_at',
  'activated_at', 'started_at', 'collecting_at', 'released_at', 'fence', 'vt', 'mail', 'damage', 'epoch', 'format', 'shaped', 'budget',
  'dialogues' }

-- Answers its state; `gone` when there is nothing of it.
local function examine_run(run, retention)
  if redis.call('ZSCORE', key('quarantine'), run) then
    serious('quarantined', redis.call('HGET', key('quarantine:reasons'), run) or 'no reason is recorded', run, retention)
    return 'quarantined'
  end
  local wrong = diagnose(run)
  if wrong then
    serious('run-damaged', wrong, run, retention)
    return 'damaged'
  end
  local values, fields = redis.call('HMGET', run_key(run), unpack(FIELDS)), {}
  for i, name in ipairs(FIELDS) do fields[name] = values[i] or nil end
  local state = fields.state
  if not state then return 'gone' end
  if fields.format and fields.format ~= FORMAT and not ENDED[state] then return state end
  -- A submission that was cancelled waits for the sweeper, which gives it its time to live.
  if ENDED[state] and not fields.total and redis.call('ZSCORE', key('deadlines'), run) then return state end
  if not redis.call('ZSCORE', key('runs'), run) then
    report('run-unlisted', run, 'it is not in the list of runs', function()
      redis.call('ZADD', key('runs'), is_whole(fields.created_at, 0) and fields.created_at or now_text, run)
    end)
  end
  examine_lifetimes(run, state, retention)
  examine_dialogues(run, fields.dialogues)
  examine_counts(run, redis.call('HMGET', run_key(run), unpack(COUNTS)))
  examine_collection(run, state)
  if ENDED[state] then
    examine_ended(run, fields)
    if fields.endpoint then examine_unplaced(run, fields.endpoint, state) end
    return state
  end
  examine_told(run, fields)
  if state == 'preparing' then
    examine_deadline(run, 600000)
  elseif state == 'collecting' then
    examine_collecting(run, fields)
    examine_unplaced(run, fields.endpoint, state)
  else
    examine_open(run, state, fields)
    if state == 'reopening' then examine_unplaced(run, fields.endpoint, state) end
  end
  return state
end
--@call
needs_tests_looked_at = false
