"""The Lua scripts of the shared request window: each runs in Redis as one step.

Times are in milliseconds of the clock of Redis, so the clocks of the machines need not agree. KEYS
are those of the same name, in this order, unless a script names others.
"""

KEYS = ("requests", "by_caller", "order", "queues", "minutes", "callers", "processes")
EXPIRE = """
local requests, by_caller, order, queues, minutes, callers_of, processes = unpack(KEYS)
local window, day_minutes = tonumber(ARGV[1]), tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', requests, '-inf', now - window)) do
  local name = string.match(entry, '^[^:]*:(.*)$')
  if redis.call('HINCRBY', by_caller, name, -1) < 1 then
    redis.call('HDEL', by_caller, name)
    redis.call('HDEL', callers_of, name)
  end
  redis.call('ZREM', requests, entry)
end
local minute, today, oldest = math.floor(now / 60000), 0, nil
local function read_day()
  local counts = redis.call('HGETALL', minutes)
  for index = 1, #counts, 2 do
    local at = tonumber(counts[index])
    if at <= minute - day_minutes then
      redis.call('HDEL', minutes, counts[index])
    else
      today = today + tonumber(counts[index + 1])
      oldest = math.min(oldest or at, at)
    end
  end
end
local reported = {}
local function read_queues()
  local all = redis.call('HGETALL', queues)
  for index = 1, #all, 2 do
    local report = cjson.decode(all[index + 1])
    if report.expires < now then
      redis.call('HDEL', queues, all[index])
    else
      reported[all[index]] = report.callers
    end
  end
end
"""
REPORT = """
local process, lease, mine = ARGV[3], tonumber(ARGV[4]), ARGV[5]
redis.call('ZADD', processes, now, process)
redis.call('PEXPIRE', processes, window * 2)
if mine == '[]' then
  redis.call('HDEL', queues, process)
else
  redis.call('HSET', queues, process, cjson.encode({expires = now + lease, callers = cjson.decode(mine)}))
  redis.call('PEXPIRE', queues, lease * 2)
end
"""
ACQUIRE = (
    EXPIRE
    + REPORT
    + """
local per_minute, per_day, id = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
if per_day > 0 or redis.call('HLEN', minutes) > 2 * day_minutes then read_day() end
local used = redis.call('ZCARD', requests)
redis.call('ZREMRANGEBYSCORE', processes, '-inf', now - window * 2)
local sharing = redis.call('ZCARD', processes)
local function share_limit(caller)
  if caller.share >= 1 then return per_minute end
  return math.max(1, math.floor(caller.share * per_minute))
end
local function used_by(caller) return tonumber(redis.call('HGET', by_caller, caller.name) or 0) end
local function reset_of_account()
  local entry = redis.call('ZRANGE', requests, math.max(0, used - per_minute), math.max(0, used - per_minute), 'WITHSCORES')
  return entry[2] and entry[2] + window - now or 0
end
local function reset_of_share(caller)
  local left = math.max(0, used_by(caller) - share_limit(caller))
  for position = 0, used - 1, 100 do
    local entries = redis.call('ZRANGE', requests, position, position + 99, 'WITHSCORES')
    for index = 1, #entries, 2 do
      if string.match(entries[index], '^[^:]*:(.*)$') == caller.name then
        if left == 0 then return math.max(1, entries[index + 1] + window - now) end
        left = left - 1
      end
    end
  end
  return 0
end
local function answer(name, delay, code)
  local shares, day_reset = {}, oldest and (oldest + day_minutes) * 60000 - now or 0
  for _, caller in ipairs(per_minute > 0 and cjson.decode(mine) or {}) do
    if caller.share < 1 then
      for _, value in ipairs({caller.name, used_by(caller), reset_of_share(caller)}) do shares[#shares + 1] = value end
    end
  end
  return {name, delay, code, used, reset_of_account(), today, day_reset, shares, sharing}
end
if per_day > 0 and today >= per_day then
  return answer('', (oldest + day_minutes) * 60000 - now, 1)
end
if per_minute > 0 and used >= per_minute then return answer('', reset_of_account(), 0) end
local function share_delay(caller)
  if per_minute == 0 or used_by(caller) < share_limit(caller) then return 0 end
  return reset_of_share(caller)
end
local present = tonumber(redis.call('HGET', order, ':now') or 0)
local first, first_start, is_mine, delay = nil, nil, false, window
read_queues()
for owner, callers in pairs(reported) do
  for _, caller in ipairs(callers) do
    if caller.admissible then
      local wait = share_delay(caller)
      local start = math.max(present, tonumber(redis.call('HGET', order, '=' .. caller.name) or 0))
      if wait > 0 then
        if owner == process then delay = math.min(delay, wait) end
      elseif first == nil or start < first_start or (start == first_start and caller.name < first.name) then
        first, first_start, is_mine = caller, start, owner == process
      elseif caller.name == first.name and owner == process then
        is_mine = true
      end
    end
  end
end
if first == nil then return answer('', delay, 3) end
if not is_mine then return answer('', 0, 2) end
redis.call('ZADD', requests, now, id .. ':' .. first.name)
redis.call('PEXPIRE', requests, window * 2)
redis.call('HINCRBY', by_caller, first.name, 1)
redis.call('PEXPIRE', by_caller, window * 2)
redis.call('HSET', callers_of, first.name, cjson.encode({weight = first.weight, share = first.share}))
redis.call('PEXPIRE', callers_of, window * 2)
redis.call('HINCRBY', minutes, minute, 1)
redis.call('EXPIRE', minutes, day_minutes * 60)
local ends = redis.call('HGETALL', order)
for index = 1, #ends, 2 do
  if tonumber(ends[index + 1]) <= first_start then redis.call('HDEL', order, ends[index]) end
end
redis.call('HSET', order, ':now', string.format('%.17g', first_start))
redis.call('HSET', order, '=' .. first.name, string.format('%.17g', first_start + 1 / first.weight))
redis.call('EXPIRE', order, 3600)
used, today, oldest = used + 1, today + 1, oldest or minute
return answer(first.name, 0, 0)
"""
)
USAGE = (
    EXPIRE
    + """
read_queues()
read_day()
local by_name = {}
local all = redis.call('HGETALL', by_caller)
for index = 1, #all, 2 do
  local caller = redis.call('HGET', callers_of, all[index])
  by_name[#by_name + 1] = {all[index], tonumber(all[index + 1]), caller and cjson.decode(caller) or cjson.null}
end
local waiting = {}
for _, callers in pairs(reported) do
  for _, caller in ipairs(callers) do waiting[#waiting + 1] = caller end
end
return cjson.encode({redis.call('ZCARD', requests), today, by_name, waiting})
"""
)

CANCEL_KEYS = ("requests", "by_caller", "minutes")
CANCEL = """
local requests, by_caller, minutes = unpack(KEYS)
local entry, name = ARGV[1], ARGV[2]
local time = redis.call('ZSCORE', requests, entry)
if not time then return end
redis.call('ZREM', requests, entry)
if redis.call('HINCRBY', by_caller, name, -1) < 1 then redis.call('HDEL', by_caller, name) end
redis.call('HINCRBY', minutes, math.floor(time / 60000), -1)
"""

# Counts a request as one of now, if it is still counted.
POSTPONE_KEY = "requests"
POSTPONE = """
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], 'XX', time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
"""

_ADD = """
local function add(entry, time, caller)
  local name = string.match(entry, '^[^:]*:(.*)$')
  local known = redis.call('ZSCORE', requests, entry)
  if not known or tonumber(known) < time then redis.call('ZADD', requests, time, entry) end
  if not known then
    redis.call('HINCRBY', by_caller, name, 1)
    redis.call('HSET', callers_of, name, caller)
    redis.call('HINCRBY', minutes, math.floor(time / 60000), 1)
  end
  for _, key in ipairs({requests, by_caller, callers_of}) do redis.call('PEXPIRE', key, window * 2) end
end
"""
_CLOCK = """
local requests, by_caller, minutes, callers_of, gathering = unpack(KEYS)
local window = tonumber(ARGV[1])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
"""

# ARGV: the window, the time for which the others return theirs (0: it has begun), then of each
# request its entry, its age and the caller that is shown for it. Returns what is left of that time.
RETURN = (
    _CLOCK
    + _ADD
    + """
local gather = tonumber(ARGV[2])
for index = 3, #ARGV, 3 do add(ARGV[index], now - tonumber(ARGV[index + 1]), ARGV[index + 2]) end
if gather > 0 then redis.call('SET', gathering, 1, 'NX', 'PX', gather) end
return math.max(0, redis.call('PTTL', gathering))
"""
)
RETURN_KEYS = ("requests", "by_caller", "minutes", "callers", "gathering")

# ARGV: the window, the limit of a minute, a request's entry and its caller. Counts the request and
# returns 1, unless the limit is reached.
CONFIRM = (
    _CLOCK
    + _ADD
    + """
if redis.call('ZCOUNT', requests, '(' .. now - window, '+inf') >= tonumber(ARGV[2]) then return 0 end
add(ARGV[3], now, ARGV[4])
return 1
"""
)

# ARGV: a mark's value and its milliseconds. Sets it, unless Redis has one that lasts as long.
RETURN_MARK = """
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
"""
