// Reading memory that JavaScript can write.
#pragma once

namespace ringtap {

/// SAFETY: JS may change a descriptor while we look at it. One volatile read makes what is checked and what
/// is used the same value.
template <class T>
T load_once(const T* at) noexcept {
  return *static_cast<const volatile T*>(at);
}

}  // namespace ringtap
