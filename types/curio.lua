---@meta curio

--- Concurrent I/O for Lua 5.4. Names that stand here are found in their modules too.
---@class curio
---@field errors curio.errors
---@field task curio.task
---@field time curio.time
---@field sync curio.sync
---@field queue curio.queue
---@field network curio.network
---@field debug curio.debug
---@field testing curio.testing
---@field io curio.io
---@field file curio.filemodule
---@field socket curio.socketmodule
---@field subprocess curio.subprocess
---@field signal curio.signal
---@field ssl curio.ssl
---@field traps curio.traps
---@field sched curio.sched
---@field meta curio.meta
---@field thread curio.thread
---@field workers curio.workers
---@field channel curio.channel
---@field monitor curio.monitor
---@field CurioError curio.ErrorClass
---@field CancelledError curio.ErrorClass
---@field TaskCancelled curio.ErrorClass
---@field TaskTimeout curio.ErrorClass
---@field TimeoutCancellationError curio.ErrorClass
---@field UncaughtTimeoutError curio.ErrorClass
---@field TaskError curio.ErrorClass
---@field SyncIOError curio.ErrorClass
---@field AsyncOnlyError curio.ErrorClass
---@field ResourceBusy curio.ErrorClass
---@field ReadResourceBusy curio.ErrorClass
---@field WriteResourceBusy curio.ErrorClass
---@field Deadlock curio.ErrorClass
---@field Interrupted curio.ErrorClass
---@field OSError curio.ErrorClass
---@field ResolveError curio.ErrorClass
---@field SSLError curio.ErrorClass
---@field SSLCertVerificationError curio.ErrorClass
---@field CalledProcessError curio.ErrorClass
---@field AuthenticationError curio.ErrorClass
---@field WorkerDied curio.ErrorClass
---@field QueueClosed curio.ErrorClass
---@field ClosedError curio.ErrorClass
local curio = {}

local channel = require "curio.channel"
local errors = require "curio.errors"
local group = require "curio.group"
local kernel = require "curio.kernel"
local file = require "curio.file"
local network = require "curio.network"
local queue = require "curio.queue"
local report = require "curio.report"
local sync = require "curio.sync"
local task = require "curio.task"
local thread = require "curio.thread"
local time = require "curio.time"
local workers = require "curio.workers"

curio.is = errors.is

curio.run = kernel.run
curio.Kernel = kernel.Kernel
curio.log = report.default

curio.spawn = task.spawn
curio.current_task = task.current_task
curio.schedule = task.schedule
curio.disable_cancellation = task.disable_cancellation
curio.check_cancellation = task.check_cancellation
curio.set_cancellation = task.set_cancellation
curio.pcall = task.pcall
curio.xpcall = task.xpcall
curio.Local = task.Local

curio.sleep = time.sleep
curio.clock = time.clock
curio.timeout_after = time.timeout_after
curio.ignore_after = time.ignore_after

curio.TaskGroup = group.TaskGroup
curio.group = group.group
curio.started = group.started

curio.Event = sync.Event
curio.Result = sync.Result
curio.Lock = sync.Lock
curio.RLock = sync.RLock
curio.Semaphore = sync.Semaphore
curio.BoundedSemaphore = sync.BoundedSemaphore
curio.Condition = sync.Condition
curio.UniversalEvent = sync.UniversalEvent
curio.UniversalResult = sync.UniversalResult

curio.Queue = queue.Queue
curio.LifoQueue = queue.LifoQueue
curio.PriorityQueue = queue.PriorityQueue
curio.UniversalQueue = queue.UniversalQueue

curio.aopen = file.aopen
curio.run_in_thread = workers.run_in_thread
curio.run_in_process = workers.run_in_process

curio.Channel = channel.Channel
curio.Connection = channel.Connection
curio.spawn_thread = thread.spawn_thread
curio.AWAIT = thread.AWAIT
curio.Thread = thread.Thread

curio.open_connection = network.open_connection
curio.open_unix_connection = network.open_unix_connection
curio.tcp_server = network.tcp_server
curio.unix_server = network.unix_server
curio.run_server = network.run_server
curio.tcp_server_socket = network.tcp_server_socket
curio.unix_server_socket = network.unix_server_socket

return curio
