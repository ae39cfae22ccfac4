ringtap_test(format SOURCES ${CMAKE_SOURCE_DIR}/native/test/format_test.cc LINK ringtap_format)
ringtap_test(rpcap_format SOURCES ${CMAKE_SOURCE_DIR}/native/test/rpcap_format_test.cc LINK ringtap_format)
ringtap_test(rpcap_window SOURCES ${CMAKE_SOURCE_DIR}/native/test/rpcap_window_test.cc LINK ringtap_format)
