ringtap_fuzz(split SOURCES ${CMAKE_SOURCE_DIR}/native/fuzz/split_fuzz.cc LINK ringtap_libpcap)
