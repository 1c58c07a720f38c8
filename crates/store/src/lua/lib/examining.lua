-- What holds between any two transitions, and what can be done where it does not. Looking writes nothing: a finding that
-- can be mended brings the function that does it, and only `mend_…` scripts call those, in the step that looked.
local found
local function report(code, subject, detail, mend)
  found[#found + 1] = { code = code, subject = subject, detail = detail, mend = mend }
end
local function answer_findings(answer)
  for _, finding in ipairs(found) do
    answer[#answer + 1] = finding.code
    answer[#answer + 1] = finding.subject
    answer[#answer + 1] = finding.detail
    answer[#answer + 1] = finding.mend and 1 or 0
  end
  return answer
end
local function mend_findings()
  for _, finding in ipairs(found) do
    if finding.mend then finding.mend() end
  end
end

-- The owner of a job, of either kind, as it is recorded.
local function owner_of(job)
  local run, index = split_job(job)
  local held
  if run then held = redis.pcall('HGET', run_key(run, 'owners'), index)
  else held = redis.pcall('HGET', key('control:owners'), job) end
  -- Owners that cannot be read have a finding of their own.
  if type(held) == 'table' then return nil, run, index end
  return read_owner(held), run, index
end

-- What a holder has beside its owner entry: `lease_ms` is how long a lease lasts that has to be made again.
local function examine_holding(job, owner, lease_ms)
  if not redis.call('ZSCORE', key('leases'), job) then
    report('lease-missing', job, 'held by ' .. owner.worker .. ' without a lease', function()
      redis.call('ZADD', key('leases'), whole(now + lease_ms), job)
    end)
  end
  if not redis.call('ZSCORE', key('workers'), owner.worker) then
    -- Its lease is over at once: the next reaper takes what it held back, or it renews and keeps it.
    report('holder-unknown', job, owner.worker .. ' holds it and is not registered', function()
      redis.call('ZADD', key('workers'), 'NX', now_text, owner.worker)
    end)
  end
  if redis.call('SISMEMBER', worker_key(owner.worker, 'jobs'), job) == 0 then
    report('job-unlisted', job, 'not among the jobs of ' .. owner.worker, function()
      redis.call('SADD', worker_key(owner.worker, 'jobs'), job)
    end)
  end
end
--@call
found = {}
