dnl SPDX-License-Identifier: MIT
dnl Which flags the compiler and the linker take.

dnl SHMRING_APPEND_FLAGS(VARIABLE, FLAGS): append those of FLAGS that the C compiler takes without
dnl a warning. Every flag is tried by itself, for the language is what can differ.
AC_DEFUN([SHMRING_APPEND_FLAGS],
	[SHMRING_TRY_FLAGS([$1], [$2],
		[AC_COMPILE_IFELSE([AC_LANG_SOURCE([[int shmring_probe;]])], [shmring_taken=yes])])])

dnl SHMRING_APPEND_LINK_FLAGS(VARIABLE, FLAGS): the same, linking a program.
AC_DEFUN([SHMRING_APPEND_LINK_FLAGS],
	[SHMRING_TRY_FLAGS([$1], [$2],
		[AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])], [shmring_taken=yes])])])

dnl SHMRING_TRY_FLAGS(VARIABLE, FLAGS, TEST): TEST runs with the flag in CFLAGS and says
dnl shmring_taken=yes.
AC_DEFUN([SHMRING_TRY_FLAGS],
	[shmring_saved_CFLAGS=$CFLAGS
	for shmring_flag in m4_normalize([$2]); do
		AC_MSG_CHECKING([whether $CC takes $shmring_flag])
		CFLAGS="$shmring_saved_CFLAGS -Werror $shmring_flag"
		shmring_taken=no
		$3
		AC_MSG_RESULT([$shmring_taken])
		AS_IF([test $shmring_taken = yes], [$1="${$1:+$$1 }$shmring_flag"])
	done
	CFLAGS=$shmring_saved_CFLAGS])
