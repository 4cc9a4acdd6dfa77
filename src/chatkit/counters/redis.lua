-- The scripts of chatkit.counters.redis.

-- name: common
-- The count, then amounts by the name of a reservation, and when each lapses. All three end with the window.
local key, reserved, lapses = ARGV[1], ARGV[2], ARGV[3]

local function begin(window)
  local left = redis.call('PTTL', key)
  if left <= 0 then
    redis.call('DEL', reserved, lapses)
    redis.call('SET', key, 0, 'PX', window)
    left = tonumber(window)
  end
  return left
end

local function take(amount, limit, left)
  local total = tonumber(redis.call('GET', key))
  local taken = limit < 0 or total + amount <= limit
  if taken then
    total = redis.call('INCRBY', key, string.format('%.0f', amount))
  end
  return {total, taken and 1 or 0, left}
end

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function amount_of(name)
  return tonumber(redis.call('HGET', reserved, name) or 0)
end

local function drop(name)
  redis.call('HDEL', reserved, name)
  redis.call('ZREM', lapses, name)
end

-- name: take
-- milliseconds of a window, amount, limit or -1
return take(tonumber(ARGV[5]), tonumber(ARGV[6]), begin(ARGV[4]))

-- name: reserve
-- milliseconds of a window, amount, limit, name, milliseconds of the lease
local amount, name, left, moment = tonumber(ARGV[5]), ARGV[7], begin(ARGV[4]), now()
for _, lapsed in ipairs(redis.call('ZRANGEBYSCORE', lapses, '-inf', moment)) do
  take(-amount_of(lapsed), -1, left)
  drop(lapsed)
end
local count = take(amount - amount_of(name), tonumber(ARGV[6]), left)
if count[2] == 1 and amount > 0 then
  redis.call('HSET', reserved, name, ARGV[5])
  redis.call('ZADD', lapses, moment + ARGV[8], name)
  redis.call('PEXPIRE', reserved, left)
  redis.call('PEXPIRE', lapses, left)
end
return count

-- name: renew
-- name, milliseconds of the lease
redis.call('ZADD', lapses, 'XX', now() + ARGV[5], ARGV[4])
return 1

-- name: settle
-- milliseconds that are left of the window, or 0; used, name
local window = tonumber(ARGV[4])
if window > 0 then
  local left = begin(ARGV[4])
  take(tonumber(ARGV[5]) - amount_of(ARGV[6]), -1, left)
end
drop(ARGV[6])
return 1
