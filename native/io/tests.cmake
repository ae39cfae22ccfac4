ringtap_test(compression SOURCES ${CMAKE_SOURCE_DIR}/native/test/compression_test.cc LINK ringtap_backend_file ringtap_io)
