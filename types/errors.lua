---@meta curio.errors

--- A class of errors. Calling it with a message, or with a table of fields, makes an instance.
---@class curio.ErrorClass
---@field name string
---@field parent curio.ErrorClass?
---@overload fun(message_or_fields?: any): curio.Error
local ErrorClass = {}

--- Makes an instance, as calling the class does.
---@param fields any  a message, or a table of fields, which becomes the instance
---@return curio.Error
function ErrorClass:new(fields) end

---@class curio.Error
---@field name string        the class's
---@field message any
---@field cause any          the error that led to it
---@field traceback string?  when known

---@class curio.TaskCancelled: curio.Error
---@field reason any         as given to task:cancel
---@field source curio.Task? who asked
---@field bytes_sent integer? by a sendall that it interrupted

---@class curio.TaskError: curio.Error
---@field task curio.Task            the one that failed
---@field others curio.TaskError[]?  of a group: for the further failures

---@class curio.OSError: curio.Error
---@field code string       "ECONNREFUSED"; of a ResolveError "EAI_NONAME"
---@field errno integer
---@field op string         "connect"
---@field subject string?   "127.0.0.1:80"
---@field bytes_sent integer?         of sendall
---@field errors curio.OSError[]?     of open_connection: those of the other addresses

---@class curio.SSLError: curio.OSError
---@field reason string?          OpenSSL's word for it: "WRONG_VERSION_NUMBER"
---@field verify_code integer?    of a SSLCertVerificationError
---@field verify_message string?  likewise

---@class curio.errors
---@field CurioError curio.ErrorClass                root of all
---@field CancelledError curio.ErrorClass            root of cancellation
---@field TaskCancelled curio.ErrorClass             task:cancel()
---@field TaskTimeout curio.ErrorClass               the scope's deadline has expired
---@field TimeoutCancellationError curio.ErrorClass  an outer scope's deadline has expired
---@field UncaughtTimeoutError curio.ErrorClass      an inner timeout escaped through an outer scope
---@field TaskError curio.ErrorClass                 another task failed
---@field SyncIOError curio.ErrorClass
---@field AsyncOnlyError curio.ErrorClass
---@field ResourceBusy curio.ErrorClass
---@field ReadResourceBusy curio.ErrorClass          another task waits to read the descriptor
---@field WriteResourceBusy curio.ErrorClass         another task waits to write it
---@field Deadlock curio.ErrorClass                  nothing can wake any task
---@field Interrupted curio.ErrorClass               SIGINT
---@field OSError curio.ErrorClass                   the system refused
---@field ResolveError curio.ErrorClass              getaddrinfo(3)
---@field SSLError curio.ErrorClass
---@field SSLCertVerificationError curio.ErrorClass
---@field CalledProcessError curio.ErrorClass
---@field AuthenticationError curio.ErrorClass
---@field WorkerDied curio.ErrorClass
---@field QueueClosed curio.ErrorClass
---@field ClosedError curio.ErrorClass
local errors = {}

--- Is the value an instance of one of the classes, or of a subclass of one? Any value may be asked.
---@param err any
---@param ... curio.ErrorClass
---@return boolean
function errors.is(err, ...) end

--- Makes an error class.
---@param name string
---@param parent curio.ErrorClass?  CurioError by default
---@return curio.ErrorClass
function errors.class(name, parent) end

return errors
