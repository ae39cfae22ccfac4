ringtap_test(io SOURCES ${CMAKE_SOURCE_DIR}/native/test/io_test.cc LINK ringtap_io)
