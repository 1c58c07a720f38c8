-- The reserved lane: collections in `control`, notifications in `mails`, so that mails which hang keep no run from ending.
local function lane(job)
  return string.sub(job, 1, 7) == 'notify:' and key('mails') or key('control')
end
local function in_lane(job) return redis.call('ZSCORE', lane(job), job) end
