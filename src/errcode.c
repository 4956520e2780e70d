/*
 * errcode: two tables, from number to name.
 *
 * The first list holds the codes POSIX demands, so each must exist; the rest is guarded one by
 * one or by system. Lookup of an errno is one index; codes of getaddrinfo are few and negative on
 * some systems, positive on others: a switch.
 */
#include "errcode.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#define NAME(code) [code] = #code

/* Where two names share a number (EWOULDBLOCK, ENOTSUP on Linux) one of them is listed.
   clang-format would give each a line. */
/* clang-format off */
static const char *const names[] = {
    NAME(E2BIG), NAME(EACCES), NAME(EADDRINUSE), NAME(EADDRNOTAVAIL), NAME(EAFNOSUPPORT),
    NAME(EAGAIN), NAME(EALREADY), NAME(EBADF), NAME(EBADMSG), NAME(EBUSY), NAME(ECANCELED),
    NAME(ECHILD), NAME(ECONNABORTED), NAME(ECONNREFUSED), NAME(ECONNRESET), NAME(EDEADLK),
    NAME(EDESTADDRREQ), NAME(EDOM), NAME(EDQUOT), NAME(EEXIST), NAME(EFAULT), NAME(EFBIG),
    NAME(EHOSTUNREACH), NAME(EIDRM), NAME(EILSEQ), NAME(EINPROGRESS), NAME(EINTR), NAME(EINVAL),
    NAME(EIO), NAME(EISCONN), NAME(EISDIR), NAME(ELOOP), NAME(EMFILE), NAME(EMLINK),
    NAME(EMSGSIZE), NAME(EMULTIHOP), NAME(ENAMETOOLONG), NAME(ENETDOWN), NAME(ENETRESET),
    NAME(ENETUNREACH), NAME(ENFILE), NAME(ENOBUFS), NAME(ENODEV), NAME(ENOENT), NAME(ENOEXEC),
    NAME(ENOLCK), NAME(ENOLINK), NAME(ENOMEM), NAME(ENOMSG), NAME(ENOPROTOOPT), NAME(ENOSPC),
    NAME(ENOSYS), NAME(ENOTCONN), NAME(ENOTDIR), NAME(ENOTEMPTY), NAME(ENOTRECOVERABLE),
    NAME(ENOTSOCK), NAME(ENOTTY), NAME(ENXIO), NAME(EOPNOTSUPP), NAME(EOVERFLOW),
    NAME(EOWNERDEAD), NAME(EPERM), NAME(EPIPE), NAME(EPROTO), NAME(EPROTONOSUPPORT),
    NAME(EPROTOTYPE), NAME(ERANGE), NAME(EROFS), NAME(ESPIPE), NAME(ESRCH), NAME(ESTALE),
    NAME(ETIMEDOUT), NAME(ETXTBSY), NAME(EXDEV),
    /* not of POSIX, but of every Unix */
    NAME(EHOSTDOWN), NAME(ENOTBLK), NAME(EPFNOSUPPORT), NAME(EREMOTE), NAME(ESHUTDOWN),
    NAME(ESOCKTNOSUPPORT), NAME(ETOOMANYREFS), NAME(EUSERS),
#if ENOTSUP != EOPNOTSUPP
    NAME(ENOTSUP),
#endif
#ifdef __linux__
    NAME(EADV), NAME(EBADE), NAME(EBADFD), NAME(EBADR), NAME(EBADRQC), NAME(EBADSLT),
    NAME(EBFONT), NAME(ECHRNG), NAME(ECOMM), NAME(EDOTDOT), NAME(EHWPOISON), NAME(EISNAM),
    NAME(EKEYEXPIRED), NAME(EKEYREJECTED), NAME(EKEYREVOKED), NAME(EL2HLT), NAME(EL2NSYNC),
    NAME(EL3HLT), NAME(EL3RST), NAME(ELIBACC), NAME(ELIBBAD), NAME(ELIBEXEC), NAME(ELIBMAX),
    NAME(ELIBSCN), NAME(ELNRNG), NAME(EMEDIUMTYPE), NAME(ENAVAIL), NAME(ENOANO), NAME(ENOCSI),
    NAME(ENODATA), NAME(ENOKEY), NAME(ENOMEDIUM), NAME(ENONET), NAME(ENOPKG), NAME(ENOSR),
    NAME(ENOSTR), NAME(ENOTNAM), NAME(ENOTUNIQ), NAME(EREMCHG), NAME(EREMOTEIO), NAME(ERESTART),
    NAME(ERFKILL), NAME(ESRMNT), NAME(ESTRPIPE), NAME(ETIME), NAME(EUCLEAN), NAME(EUNATCH),
    NAME(EXFULL),
#endif
};
/* clang-format on */

const char *errcode_name(int err) {
    if (err <= 0 || (size_t)err >= sizeof names / sizeof *names || !names[err])
        return "EUNKNOWN";
    return names[err];
}

#define CASE(code)                                                                                 \
    case code:                                                                                     \
        return #code

const char *errcode_eai_name(int eai) {
    switch (eai) {
        CASE(EAI_AGAIN);
        CASE(EAI_BADFLAGS);
        CASE(EAI_FAIL);
        CASE(EAI_FAMILY);
        CASE(EAI_MEMORY);
        CASE(EAI_NONAME);
        CASE(EAI_OVERFLOW);
        CASE(EAI_SERVICE);
        CASE(EAI_SOCKTYPE);
        CASE(EAI_SYSTEM);
#ifdef EAI_ADDRFAMILY
        CASE(EAI_ADDRFAMILY);
#endif
#if defined(EAI_NODATA) && EAI_NODATA != EAI_NONAME
        CASE(EAI_NODATA);
#endif
#ifdef EAI_IDN_ENCODE
        CASE(EAI_IDN_ENCODE);
#endif
    default:
        return "EAI_UNKNOWN";
    }
}

/* glibc's strerror_r returns the text, which may not be in buf; POSIX's a number. */
static void describe(int err, char *buf, size_t size) {
#ifdef __GLIBC__
    const char *text = strerror_r(err, buf, size);
    if (text != buf)
        snprintf(buf, size, "%s", text);
#else
    if (strerror_r(err, buf, size) != 0)
        snprintf(buf, size, "error %d", err);
#endif
}

void errcode_message(int err, char *buf, size_t size) {
    int saved = errno;
    if (size > 0)
        describe(err, buf, size);
    errno = saved;
}
