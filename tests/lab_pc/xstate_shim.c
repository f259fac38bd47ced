/* Lets User-Mode Linux 6.1 run on processors with AMX.
 *
 * UML saves and restores its processes' floating-point state by ptrace with a buffer of fixed size
 * (struct _xstate, 2.7 kB). The host refuses to set a state that is not whole (EFAULT), and with
 * AMX the whole is 11 kB: "ptrace set fp regs failed, errno = 14", then init dies. Preloaded into
 * linux.uml, this fills the rest of the buffer from the process's present state. Newer UML sizes
 * its buffer itself and never comes here with a short one.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <string.h>
#include <stdarg.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef NT_X86_XSTATE
#define NT_X86_XSTATE 0x202
#endif

static long raw_ptrace(long request, long pid, void *address, void *data) {
  return syscall(SYS_ptrace, request, pid, address, data);
}

long ptrace(enum __ptrace_request request, ...) {
  /* Static: UML calls this on its small kernel stacks, from one thread. */
  static char state[64 * 1024] __attribute__((aligned(64)));
  va_list arguments;
  va_start(arguments, request);
  pid_t pid = va_arg(arguments, pid_t);
  void *address = va_arg(arguments, void *);
  void *data = va_arg(arguments, void *);
  va_end(arguments);

  if (request == PTRACE_SETREGSET && (long)address == NT_X86_XSTATE) {
    const struct iovec *given = data;
    struct iovec whole = {state, sizeof state};
    if (raw_ptrace(PTRACE_GETREGSET, pid, address, &whole) == 0 && given->iov_len < whole.iov_len) {
      memcpy(state, given->iov_base, given->iov_len);
      return raw_ptrace(request, pid, address, &whole);
    }
  }
  if (request >= PTRACE_PEEKTEXT && request <= PTRACE_PEEKUSER) {
    /* As glibc: the system call stores the word, the function returns it. */
    long word = 0;
    long result = raw_ptrace(request, pid, address, &word);
    return result < 0 ? result : word;
  }
  return raw_ptrace(request, pid, address, data);
}
