# frozen_string_literal: true

# The jobs of the comparison, for `sidekiq -r ./tasks.rb` and for the dispatcher.

require 'json'
require 'net/http'
require 'sidekiq'

Redis.silence_deprecations = true if Redis.respond_to?(:silence_deprecations=)

Sidekiq.configure_server do |config|
  config.redis = { url: ENV.fetch('BENCH_REDIS') }
  config.logger.level = Logger::WARN
  config.on(:startup) { Sidekiq.redis { |redis| redis.rpush('bench:ready', 1) } }
end
Sidekiq.configure_client { |config| config.redis = { url: ENV.fetch('BENCH_REDIS') } }

# Results, and the countdown that is made by hand: batches are not part of the free edition.
module Outcome
  def self.of(number)
    JSON.generate(id: number, passed: true, cost: 0.0125, tokens: 1234, text: 'x' * 130)
  end

  def self.count_down(number)
    _, left = Sidekiq.redis do |redis|
      redis.multi do |transaction|
        transaction.rpush('bench:results', of(number))
        transaction.decr('bench:count')
      end
    end
    Collect.perform_async if left.zero?
  end

  def self.fired(results)
    Sidekiq.redis { |redis| redis.rpush('bench:fired', "#{Time.now.to_f}:#{results}") }
  end
end

class Noop
  include Sidekiq::Worker

  def perform(number) = Outcome.count_down(number)
end

# One HTTP call over the connection of this thread, which stays open.
class Io
  include Sidekiq::Worker

  def perform(number)
    connection.post('/v1/chat', JSON.generate(i: number), 'Content-Type' => 'application/json')
    Outcome.count_down(number)
  end

  private

  def connection
    Thread.current[:mock] ||= Net::HTTP.new('127.0.0.1', Integer(ENV.fetch('BENCH_MOCK_PORT'))).tap do |http|
      http.keep_alive_timeout = 30
      http.start
    end
  end
end

# A chain made by hand: each job enqueues the next one.
class Hop
  include Sidekiq::Worker

  def perform(number, count)
    Sidekiq.redis { |redis| redis.rpush('bench:results', Outcome.of(number)) }
    number + 1 < count ? Hop.perform_async(number + 1, count) : Outcome.fired(1)
  end
end

class Collect
  include Sidekiq::Worker

  def perform
    results = Sidekiq.redis { |redis| redis.lrange('bench:results', 0, -1) }
    Outcome.fired(results.map { |text| JSON.parse(text) }.size)
  end
end
