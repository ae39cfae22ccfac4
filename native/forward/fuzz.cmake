ringtap_fuzz(forward SOURCES ${CMAKE_SOURCE_DIR}/native/fuzz/forward_fuzz.cc LINK ringtap_forward)
