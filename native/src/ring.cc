// SPDX-License-Identifier: Apache-2.0
#include "ring.h"

#include "args.h"

namespace rf
{

namespace
{
constexpr uint32_t kMostRecordBytes = 1 << 16;
constexpr uint32_t kMostBatchBytes = 64 << 20;
} // namespace

/* What crosses from the thread: a batch, or (token not 0) the answer to a flush. */
struct Ring::Message {
	RingBatch batch;
	uint64_t token;
};

Napi::Function Ring::Define(Napi::Env env)
{
	return DefineClass(env, "NativeRing",
			   {
				   Method<&Ring::Release>("release"),
				   Method<&Ring::Counters>("counters"),
				   Method<&Ring::Pause>("pause"),
				   Method<&Ring::Resume>("resume"),
				   Method<&Ring::Flush>("flush"),
				   Method<&Ring::Close>("close"),
			   });
}

Ring::Ring(const Napi::CallbackInfo &info) : Wrap(info), worker_(Take<std::unique_ptr<RingWorker>>(info))
{
	slots_.resize(worker_->lanes());
	for (auto &lane : slots_)
		lane.resize(worker_->batches_per_lane());
	delivered_.resize(worker_->lanes());
}

/* Only after Ended (until then Start's reference keeps it), or when the environment goes: then EnvEnds has joined the
 * thread. */
Ring::~Ring() = default;

Napi::Value Ring::Create(const Napi::CallbackInfo &info)
{
	if (!info[0].IsArray())
		throw Fault("RF_ARGUMENT", "Cannot consume rings: found no list of lanes, wanted an array of arrays");
	RingConfig config;
	auto lanes = info[0].As<Napi::Array>();
	for (uint32_t i = 0; i < lanes.Length(); i++) {
		Napi::Value lane = lanes.Get(i);
		if (!lane.IsArray())
			throw Fault("RF_ARGUMENT",
				    "Cannot consume rings: found a lane that is no list, wanted an array");
		auto list = lane.As<Napi::Array>();
		std::vector<int> descriptors;
		for (uint32_t j = 0; j < list.Length(); j++)
			descriptors.push_back(static_cast<int>(ToU32(list.Get(j), "lanes")));
		config.lanes.push_back(std::move(descriptors));
	}
	config.record_bytes = ArgU32(info, 1, "recordBytes");
	config.batch_records = ArgU32(info, 2, "batchRecords");
	config.batches_per_lane = ArgU32(info, 3, "batchesPerLane");
	config.drain_interval_us = ArgU32(info, 4, "drainIntervalUs");
	config.max_delay_ms = ArgU32(info, 5, "maxDelayMs");
	config.max_idle_ms = ArgU32(info, 6, "maxIdleMs");
	if (config.lanes.empty() || config.record_bytes < 1 || config.record_bytes > kMostRecordBytes ||
	    config.batch_records < 1 || config.batches_per_lane < 2 || config.drain_interval_us < 1 ||
	    config.max_idle_ms < 1 ||
	    static_cast<uint64_t>(config.record_bytes) * config.batch_records > kMostBatchBytes)
		throw Fault("RF_ARGUMENT",
			    "Cannot consume rings: found options out of range, wanted at least one lane, "
			    "recordBytes 1 to 65536, batches up to 64 MiB, batchesPerLane 2 or more, "
			    "drainIntervalUs and maxIdleMs 1 or more");
	if (!info[7].IsFunction())
		throw Fault("RF_ARGUMENT", "Cannot consume rings: found no function for batches, wanted one");
	Napi::Object made = Make(rf::State(info.Env()).ring_class, std::make_unique<RingWorker>(config));
	Unwrap(made)->Start(info.Env(), info[7].As<Napi::Function>());
	return made;
}

void Ring::Start(Napi::Env env, Napi::Function on_batch)
{
	napi_status status = napi_create_threadsafe_function(env, on_batch, nullptr, Napi::String::New(env, "rf-rings"),
							     0, 1, nullptr, Finalize, this, CallJs, &function_);
	if (status != napi_ok)
		throw Fault("RF_RING", "Cannot start the consumer: found no thread-safe function, wanted one");
	napi_threadsafe_function function = function_;
	/* A queue without limit: its length is bounded by the slots. napi_closing: the environment is going, nobody is
	 * left. */
	auto send = [this, function](Message message) {
		auto copy = std::make_unique<Message>(message);
		if (!gone_ && napi_call_threadsafe_function(function, copy.get(), napi_tsfn_nonblocking) == napi_ok) {
			copy.release();
			return;
		}
		gone_ = true;
		if (message.token == 0)
			worker_->CountLost(message.batch);
	};
	Ref();
	try {
		worker_->Start([send](RingBatch batch) { send({batch, 0}); },
			       [send](uint64_t token) { send({{}, token}); },
			       [this, function] {
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
void Ring::EnvEnds(void *data)
{
	auto *self = static_cast<Ring *>(data);
	self->stopping_ = true;
	self->env_ends_ = true;
	self->worker_->RequestStop();
	self->worker_->Join();
}

void Ring::CallJs(napi_env raw_env, napi_value on_batch, void *context, void *data)
{
	std::unique_ptr<Message> message(static_cast<Message *>(data));
	auto *self = static_cast<Ring *>(context);
	/* No environment: the queue is being emptied at its end. */
	if (!raw_env) {
		if (message->token == 0)
			self->worker_->CountLost(message->batch);
		return;
	}
	Napi::Env env(raw_env);
	Napi::HandleScope scope(env);
	try {
		if (message->token == 0) {
			self->Deliver(env, Napi::Function(env, on_batch), message->batch);
		} else if (auto found = self->flushes_.find(message->token); found != self->flushes_.end()) {
			found->second.Resolve(env.Undefined());
			self->flushes_.erase(found);
		}
	} catch (const Napi::Error &error) {
		/* As from an event handler: the process decides. */
		napi_fatal_exception(raw_env, error.Value());
	}
}

void Ring::Deliver(Napi::Env env, Napi::Function on_batch, RingBatch batch)
{
	Slot &slot = slots_[batch.lane][batch.slot];
	Napi::ArrayBuffer buffer = BufferOf(env, slot, batch);
	slot.out = true;
	delivered_[batch.lane] += batch.records;
	on_batch.Call({buffer, Num(env, batch.records), Num(env, batch.lane), Num(env, batch.slot)});
}

Napi::ArrayBuffer Ring::BufferOf(Napi::Env env, Slot &slot, RingBatch batch)
{
	if (!slot.buffer.IsEmpty())
		return slot.buffer.Value();
	auto *hold = new Block(worker_->BlockOf(batch.lane, batch.slot));
	auto buffer = Napi::ArrayBuffer::New(
		env, hold->get(), worker_->block_bytes(), [](Napi::Env, void *, Block *held) { delete held; }, hold);
	slot.buffer = Napi::Reference<Napi::ArrayBuffer>::New(buffer, 1);
	return buffer;
}

void Ring::Finalize(napi_env env, void *, void *context)
{
	static_cast<Ring *>(context)->Ended(Napi::Env(env));
}

/* After the last batch was delivered. */
void Ring::Ended(Napi::Env env)
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
	for (auto &[token, deferred] : flushes_)
		deferred.Resolve(env.Undefined());
	flushes_.clear();
	for (auto &lane : slots_)
		for (Slot &slot : lane)
			slot.buffer.Reset();
	if (closing_)
		closing_->Resolve(env.Undefined());
	Unref();
}

void Ring::UseRunning() const
{
	if (stopping_)
		throw ClosedFault(kName);
}

Napi::Value Ring::Release(const Napi::CallbackInfo &info)
{
	uint32_t lane = ArgU32(info, 0, "lane");
	uint32_t slot = ArgU32(info, 1, "slot");
	if (lane >= slots_.size() || slot >= slots_[lane].size())
		throw Fault("RF_ARGUMENT",
			    "Cannot release a batch: found a lane or slot out of range, wanted a delivered one");
	/* A second release would put the slot twice into the free list, and two batches into one buffer. */
	if (slots_[lane][slot].out) {
		slots_[lane][slot].out = false;
		worker_->Release(lane, slot);
	}
	return info.Env().Undefined();
}

Napi::Value Ring::Counters(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	auto list = Napi::Array::New(env, slots_.size());
	for (uint32_t lane = 0; lane < slots_.size(); lane++) {
		RingWorker::Counters count = worker_->Count(lane);
		auto item = Napi::Object::New(env);
		item.Set("consumed", U64(env, count.consumed));
		item.Set("delivered", U64(env, delivered_[lane]));
		item.Set("dropped", U64(env, count.dropped));
		item.Set("malformed", U64(env, count.malformed));
		item.Set("pending", U64(env, count.consumed - delivered_[lane] - count.dropped));
		list.Set(lane, item);
	}
	return list;
}

Napi::Value Ring::Pause(const Napi::CallbackInfo &info)
{
	UseRunning();
	worker_->SetPaused(true);
	return info.Env().Undefined();
}

Napi::Value Ring::Resume(const Napi::CallbackInfo &info)
{
	UseRunning();
	worker_->SetPaused(false);
	return info.Env().Undefined();
}

Napi::Value Ring::Flush(const Napi::CallbackInfo &info)
{
	UseRunning();
	uint64_t token = next_token_++;
	auto deferred = Napi::Promise::Deferred::New(info.Env());
	flushes_.emplace(token, deferred);
	worker_->RequestFlush(token);
	return deferred.Promise();
}

Napi::Value Ring::Close(const Napi::CallbackInfo &info)
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
