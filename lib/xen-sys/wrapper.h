/* The public headers of Xen that the bindings are made from; the toolstack's parts included. */
#define __XEN_TOOLS__ 1
#include <stdint.h>
#include <stddef.h>
#include <xen/xen.h>
#include <xen/version.h>
#include <xen/features.h>
#include <xen/memory.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/callback.h>
#include <xen/physdev.h>
#include <xen/platform.h>
#include <xen/domctl.h>
#include <xen/sysctl.h>
#include <xen/elfnote.h>
#include <xen/arch-x86/cpuid.h>
#include <xen/arch-x86/hvm/start_info.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/dm_op.h>
#include <xen/hvm/params.h>
#include <xen/hvm/save.h>
#include <xen/hvm/e820.h>
#include <xen/io/console.h>
#include <xen/io/xs_wire.h>
