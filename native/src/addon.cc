// SPDX-License-Identifier: Apache-2.0
#include <napi.h>

#include "args.h"
#include "btf.h"
#include "clsact.h"
#include "conntrack.h"
#include "env.h"
#include "interfaces.h"
#include "kernel.h"
#include "libbpf_log.h"
#include "link.h"
#include "map.h"
#include "object.h"
#include "privilege.h"
#include "probe.h"
#include "program.h"
#include "ring.h"
#include "sock_diag.h"
#include "wrap.h"

/* What JavaScript can reach; the typed list of the same, in the same order, is ts/binding.ts. */
namespace rf
{

namespace
{

Napi::Value SetErrorClass(const Napi::CallbackInfo &info)
{
	if (!info[0].IsFunction())
		throw Fault("RF_ARGUMENT", "Cannot set the error class: found no class, wanted one");
	State(info.Env()).error_class = Napi::Persistent(info[0].As<Napi::Function>());
	return info.Env().Undefined();
}

Napi::Object Init(Napi::Env env, Napi::Object exports)
{
	auto *state = new EnvState();
	env.SetInstanceData(state);
	InstallLibbpfLog();
	state->object_class = Napi::Persistent(Object::Define(env));
	state->map_class = Napi::Persistent(Map::Define(env));
	state->program_class = Napi::Persistent(Program::Define(env));
	state->link_class = Napi::Persistent(Link::Define(env));
	state->ring_class = Napi::Persistent(Ring::Define(env));
	state->conntrack_class = Napi::Persistent(Conntrack::Define(env));

	Export<SetErrorClass>(env, exports, "setErrorClass");

	Export<Object::OpenFile>(env, exports, "openObjectFile");
	Export<Object::OpenBuffer>(env, exports, "openObjectBuffer");

	Export<Map::Create>(env, exports, "createMap");
	Export<Map::FromPin>(env, exports, "mapFromPin");
	Export<Map::FromId>(env, exports, "mapFromId");

	Export<Program::FromPin>(env, exports, "programFromPin");
	Export<Program::FromId>(env, exports, "programFromId");

	Export<Link::AttachTcx>(env, exports, "attachTcx");
	Export<Link::AttachCgroup>(env, exports, "attachCgroup");
	Export<Link::FromPin>(env, exports, "linkFromPin");
	Export<Link::FromId>(env, exports, "linkFromId");
	Export<QueryTcx>(env, exports, "queryTcx");
	Export<QueryCgroup>(env, exports, "queryCgroup");

	Export<ClsactAttach>(env, exports, "clsactAttach");
	Export<ClsactDetach>(env, exports, "clsactDetach");
	Export<ClsactQuery>(env, exports, "clsactQuery");
	Export<ClsactRemoveQdisc>(env, exports, "clsactRemoveQdisc");

	Export<Ring::Create>(env, exports, "createRing");

	Export<Conntrack::Create>(env, exports, "createConntrack");

	Export<ReadBtf>(env, exports, "readBtf");

	Export<GetPossibleCpus>(env, exports, "possibleCpus");
	Export<CgroupId>(env, exports, "cgroupId");
	Export<NetnsCookie>(env, exports, "netnsCookie");
	Export<InterfaceIndex>(env, exports, "interfaceIndex");
	Export<EnsureBpffs>(env, exports, "ensureBpffs");
	Export<Unpin>(env, exports, "unpin");
	Export<ReadClocks>(env, exports, "readClocks");
	Export<EffectiveCapabilities>(env, exports, "effectiveCapabilities");

	Export<ExecBounded>(env, exports, "execBounded");

	Export<DestroySocket>(env, exports, "destroySocket");
	Export<DestroySockets>(env, exports, "destroySockets");

	Export<ListInterfaces>(env, exports, "listInterfaces");
	Export<NetnsIdOfProcess>(env, exports, "netnsIdOfProcess");

	Export<ProbeFeature>(env, exports, "probeFeature");
	return exports;
}

} // namespace

} // namespace rf

static Napi::Object InitModule(Napi::Env env, Napi::Object exports)
{
	return rf::Init(env, exports);
}

NODE_API_MODULE(ringfence, InitModule)
