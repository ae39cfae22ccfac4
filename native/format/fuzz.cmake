ringtap_fuzz(format SOURCES ${CMAKE_SOURCE_DIR}/native/fuzz/format_fuzz.cc LINK ringtap_format)
ringtap_fuzz(rpcap SOURCES ${CMAKE_SOURCE_DIR}/native/fuzz/rpcap_fuzz.cc LINK ringtap_format)
