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

Conntrack::Conntrack(const Napi::CallbackInfo &info) : Wrap(info), worker_(Take<std::unique_ptr<ConntrackWorker>>(info))
{
	buffers_.resize(worker_->batches());
}

/* Only after Ended (until then Start's reference keeps it), or when the environment goes: then EnvEnds has joined the
 * thread. */
Conntrack::~Conntrack() = default;

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
	napi_status status =
		napi_create_threadsafe_function(env, on_message, nullptr, Napi::String::New(env, "rf-conntrack"), 0, 1,
						nullptr, Finalize, this, CallJs, &function_);
	if (status != napi_ok)
		throw Fault("RF_NETLINK", "Cannot start the reader: found no thread-safe function, wanted one");
	napi_threadsafe_function function = function_;
	/* The queue needs no limit: batches are bounded by their slots, the rest is rare. */
	auto send = [this, function](const ConntrackMessage &message) {
		auto copy = std::make_unique<ConntrackMessage>(message);
		if (!gone_ && napi_call_threadsafe_function(function, copy.get(), napi_tsfn_nonblocking) == napi_ok) {
			copy.release();
			return;
		}
		gone_ = true;
		if (message.type == ConntrackMessage::kBatch)
			worker_->Release(message.slot);
	};
	Ref();
	try {
		worker_->Start(send, [this, function] {
			if (!gone_)
				napi_release_threadsafe_function(function, napi_tsfn_release);
		});
	} catch (...) {
		stopping_ = true;
		napi_release_threadsafe_function(function, napi_tsfn_abort);
		throw;
	}
	napi_add_env_cleanup_hook(env, EnvEnds, this);
}

/* Hooks run last added first: the thread is gone before Node closes the thread-safe function, which was made earlier.
 */
void Conntrack::EnvEnds(void *data)
{
	auto *self = static_cast<Conntrack *>(data);
	self->stopping_ = true;
	self->env_ends_ = true;
	self->worker_->RequestStop();
	self->worker_->Join();
}

void Conntrack::CallJs(napi_env raw_env, napi_value on_message, void *context, void *data)
{
	std::unique_ptr<ConntrackMessage> message(static_cast<ConntrackMessage *>(data));
	auto *self = static_cast<Conntrack *>(context);
	/* No environment: the queue is being emptied at its end. */
	if (!raw_env)
		return;
	Napi::Env env(raw_env);
	Napi::HandleScope scope(env);
	try {
		self->Deliver(env, Napi::Function(env, on_message), *message);
	} catch (const Napi::Error &error) {
		/* As from an event handler: the process decides. */
		napi_fatal_exception(raw_env, error.Value());
	}
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
		auto *hold = new std::shared_ptr<ConntrackRecord[]>(worker_->BlockOf(message.slot));
		buffer = Napi::Reference<Napi::ArrayBuffer>::New(
			Napi::ArrayBuffer::New(
				env, hold->get(), worker_->block_bytes(),
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
	} give_back{*worker_, message.slot};
	on_message.Call({buffer.Value(), Num(env, message.records)});
}

void Conntrack::Finalize(napi_env env, void *, void *context)
{
	static_cast<Conntrack *>(context)->Ended(Napi::Env(env));
}

/* After the last message was delivered. */
void Conntrack::Ended(Napi::Env env)
{
	worker_->Join();
	if (ended_)
		return;
	ended_ = true;
	/* No promise can be resolved any more, and references go with the environment. */
	if (env_ends_)
		return;
	napi_remove_env_cleanup_hook(env, EnvEnds, this);
	Napi::HandleScope scope(env);
	for (auto &[token, deferred] : dumps_)
		deferred.Reject(ClosedFault(kName).ToJs(env).Value());
	dumps_.clear();
	for (auto &buffer : buffers_)
		buffer.Reset();
	if (closing_)
		closing_->Resolve(env.Undefined());
	Unref();
}

Napi::Value Conntrack::Dump(const Napi::CallbackInfo &info)
{
	if (stopping_)
		throw ClosedFault(kName);
	uint64_t token = next_token_++;
	auto deferred = Napi::Promise::Deferred::New(info.Env());
	dumps_.emplace(token, deferred);
	worker_->RequestDump(token);
	return deferred.Promise();
}

Napi::Value Conntrack::Counters(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	ConntrackWorker::Counters count = worker_->Count();
	auto item = Napi::Object::New(env);
	item.Set("records", U64(env, count.records));
	item.Set("overruns", U64(env, count.overruns));
	item.Set("passedOver", U64(env, count.passed_over));
	return item;
}

Napi::Value Conntrack::Close(const Napi::CallbackInfo &info)
{
	auto deferred = Napi::Promise::Deferred::New(info.Env());
	if (ended_) {
		deferred.Resolve(info.Env().Undefined());
		return deferred.Promise();
	}
	if (closing_)
		return closing_->Promise();
	closing_ = std::make_unique<Napi::Promise::Deferred>(deferred);
	stopping_ = true;
	worker_->RequestStop();
	return deferred.Promise();
}

} // namespace rf
