// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "fd.h"

namespace rf
{

enum class Kind { kMap, kProgram, kLink };

/* What bpf(2) made the descriptor for; throws RF_ARGUMENT unless it is kind. what names the object in errors. */
void CheckKind(int fd, Kind kind, const std::string &what);

/* Pins; throws RF_PIN. */
void Pin(int fd, const std::string &path);

/* Opens a pin of the given kind; throws RF_NOT_FOUND, RF_ARGUMENT, RF_PIN. */
Fd OpenPin(const std::string &path, Kind kind);

/* By kernel id; throws RF_NOT_FOUND, RF_KERNEL. */
Fd OpenId(uint32_t id, Kind kind);

/* Whether path, which must exist, is on a file system of that magic number (linux/magic.h). Throws RF_KERNEL. */
bool OnFileSystem(const std::string &path, unsigned long magic);

} // namespace rf
