# frozen_string_literal: true

# dispatch.rb WORKLOAD N

require_relative 'tasks'

SLICE = 1000
workload = ARGV.fetch(0)
jobs = Integer(ARGV.fetch(1))

Sidekiq.redis(&:ping) # opens the connection
t0 = Time.now.to_f
if workload == 'W2'
  Hop.perform_async(0, jobs)
else
  job = workload == 'W3' ? Io : Noop
  Sidekiq.redis { |redis| redis.set('bench:count', jobs) }
  (0...jobs).each_slice(SLICE) { |slice| Sidekiq::Client.push_bulk('class' => job, 'args' => slice.map { |i| [i] }) }
end
puts JSON.generate(t0: t0, t1: Time.now.to_f)
