/*
 * test_json_portable.c
 *	  The tests of json.c, where the processor has no instructions of its own
 *	  for it (see Makefile).
 */
#ifdef __SSE2__
#error "this is to be compiled with -U__SSE2__"
#endif
#include "test_json.c"
