// SPDX-License-Identifier: Apache-2.0
#include "conntrack.h"

#include "args.h"

namespace rf
{

namespace
{
constexpr uint32_t kMostBatchRecords = 65536;
constexpr uint32_t kMostBatches = 256;
constexpr uint32_t kMostReceiveBytes = 256 << 20;
constexpr uint32_t kMostDelayMs = 1000;
} // namespace

Napi::Function Conntrack::Define(Napi::Env env)
{
	return DefineClass(env, "NativeConntrack",
			   {
				   Method<&Conntrack::Dump>("dump"),
				   Method<&Conntrack::Counters>("counters"),
				   Method<&Conntrack::Close>("close"),
			   });
}

Conntrack::Conntrack(const Napi::CallbackInfo &info) : ThreadWrap(info)
{
	buffers_.resize(worker().batches());
}

Napi::Value Conntrack::Create(const Napi::CallbackInfo &info)
{
	ConntrackConfig config;
	config.netns = ArgString(info, 0, "netns");
	config.receive_bytes = ArgU32(info, 1, "receiveBytes");
	config.batch_records = ArgU32(info, 2, "batchRecords");
	config.batches = ArgU32(info, 3, "batches");
	config.delay_ms = ArgU32(info, 4, "delayMs");
	if (config.receive_bytes < 4096 || config.receive_bytes > kMostReceiveBytes || config.batch_records < 1 ||
	    config.batch_records > kMostBatchRecords || config.batches < 1 || config.batches > kMostBatches ||
	    config.delay_ms > kMostDelayMs)
		throw Fault("RF_ARGUMENT", "Cannot read conntrack: found options out of range, wanted receiveBytes "
					   "4096 to 256 MiB, batchRecords 1 to 65536, batches 1 to 256, delayMs 0 to "
					   "1000");
	if (!info[5].IsFunction())
		throw Fault("RF_ARGUMENT", "Cannot read conntrack: found no function for messages, wanted one");
	Napi::Object made = Make(rf::State(info.Env()).conntrack_class, std::make_unique<ConntrackWorker>(config));
	Unwrap(made)->Start(info.Env(), info[5].As<Napi::Function>());
	return made;
}

void Conntrack::Start(Napi::Env env, Napi::Function on_message)
{
	Begin(env, on_message, "rf-conntrack", "RF_NETLINK",
	      [this](auto send, auto ended) { worker().Start(send, ended); });
}

/* The slot goes back: the thread may be waiting for it. */
void Conntrack::Undelivered(const ConntrackMessage &message)
{
	if (message.type == ConntrackMessage::kBatch)
		worker().Release(message.slot);
}

void Conntrack::Deliver(Napi::Env env, Napi::Function on_message, const ConntrackMessage &message)
{
	if (message.type == ConntrackMessage::kDumped) {
		auto found = dumps_.find(message.token);
		if (found == dumps_.end())
			return;
		Napi::Promise::Deferred deferred = found->second;
		dumps_.erase(found);
		if (message.err == 0)
			deferred.Resolve(env.Undefined());
		else
			deferred.Reject(
				Fault::Sys("RF_NETLINK", "list the connections of ctnetlink", message.err, "recv")
					.ToJs(env)
					.Value());
		return;
	}
	if (message.type == ConntrackMessage::kLost) {
		on_message.Call({env.Null(), Num(env, 0)});
		return;
	}
	Napi::Reference<Napi::ArrayBuffer> &buffer = buffers_[message.slot];
	if (buffer.IsEmpty()) {
		auto *hold = new std::shared_ptr<ConntrackRecord[]>(worker().BlockOf(message.slot));
		buffer = Napi::Reference<Napi::ArrayBuffer>::New(
			Napi::ArrayBuffer::New(
				env, hold->get(), worker().block_bytes(),
				[](Napi::Env, void *, std::shared_ptr<ConntrackRecord[]> *held) { delete held; }, hold),
			1);
	}
	/* Given back whether or not the handler throws. */
	struct Return {
		ConntrackWorker &worker;
		uint32_t slot;
		~Return()
		{
			worker.Release(slot);
		}
	} give_back{worker(), message.slot};
	on_message.Call({buffer.Value(), Num(env, message.records)});
}

void Conntrack::Ended(Napi::Env env)
{
	for (auto &[token, deferred] : dumps_)
		deferred.Reject(ClosedFault(kName).ToJs(env).Value());
	dumps_.clear();
	for (auto &buffer : buffers_)
		buffer.Reset();
}

Napi::Value Conntrack::Dump(const Napi::CallbackInfo &info)
{
	UseRunning();
	uint64_t token = next_token_++;
	auto deferred = Napi::Promise::Deferred::New(info.Env());
	dumps_.emplace(token, deferred);
	worker().RequestDump(token);
	return deferred.Promise();
}

Napi::Value Conntrack::Counters(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	ConntrackWorker::Counters count = worker().Count();
	auto item = Napi::Object::New(env);
	item.Set("records", U64(env, count.records));
	item.Set("overruns", U64(env, count.overruns));
	item.Set("passedOver", U64(env, count.passed_over));
	return item;
}

} // namespace rf
